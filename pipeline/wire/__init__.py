"""Transport of frames, predictions and statistics between processes: messages, sockets, keys.

The only package that imports zmq. Everything that a peer sends is validated before use.
"""
