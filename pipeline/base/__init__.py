"""Shared by all rooms: frames, time, configuration, errors, redaction and files.

Imports no other room.
"""
