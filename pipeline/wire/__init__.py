"""Frames, predictions and statistics between processes: messages, encoding, sockets, keys."""
