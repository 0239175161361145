"""Frames, predictions and statistics between processes: messages, encoding, sockets, keys.

The only room that imports zmq. Nothing that a peer sends is used before it is checked.
"""
