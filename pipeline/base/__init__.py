"""Shared by all packages: frames, time, configuration, errors, redaction and files.

Imports no other package of ``pipeline``.
"""
