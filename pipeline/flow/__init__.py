"""How frames wait, meet and are let go: rings, gaps, joining, batching, freshness.

Plain Python on ``base``: no sockets, no torch, no drawing.
"""
