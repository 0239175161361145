"""Keeps predictions of live streams young: measured ages in, JPEG quality, picture size and stride out.

Pure: times and counts in, decisions out.
"""
