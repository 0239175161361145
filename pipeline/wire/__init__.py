"""Transport of frames, predictions and statistics between processes: messages, sockets, keys.

The only room that imports zmq. Nothing that a peer sends is used before it is checked.
"""
