"""Clips that people recorded: indexed, decoded once, cut into windows.

May use ``video``.
"""
