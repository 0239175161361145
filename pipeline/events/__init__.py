"""What is kept: events and the motion log in one SQLite file, and rules over the log of yesterday.

Looks and events come in, and go to the disk in a thread of their own; only ``base``, ``scene``, numpy and the
standard library. No torch, no sockets.
"""
