"""Recorded clips: indexed, decoded once, cut into windows.

May use ``video``.
"""
