"""Display: overlays, terminal, window, video files, web page.

Drawing is pure: frame and prediction in, image out. Must not import torch or zmq.
"""
