"""Flow of frames and streams: rings, gaps, joining, batching, freshness, placement.

Plain Python on ``base``: no sockets, no torch, no drawing.
"""
