"""Frames in shared memory: segments with one owner, and how readers map them.

Used by ``wire`` alone.
"""
