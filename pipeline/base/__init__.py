"""What every room may use: frames, time, configuration, errors, redaction, files.

Imports nothing of the project.
"""
