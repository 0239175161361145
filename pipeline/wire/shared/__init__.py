"""Frames in shared memory: segments with one owner, and their readers.

Used only by ``wire``.
"""
