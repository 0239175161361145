"""Recorded clips: indexed, decoded once, cut into windows.

May import ``video``.
"""
