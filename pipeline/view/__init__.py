"""Display: overlays, terminal, window, video files, web page.

Drawing is pure: frame and prediction in, picture out. Nothing here may need torch or zmq.
"""
