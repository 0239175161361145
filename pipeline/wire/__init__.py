"""Frames, predictions and figures between processes: messages, encoding, sockets, keys."""
