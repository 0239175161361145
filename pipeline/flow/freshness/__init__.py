"""Freshness: caps the age of predictions by lowering quality, size and rate of frames.

``ages`` runs in inference, ``keeper`` in capture; ``law`` sets the ``knobs`` of one stream. No sockets and no
images; times are passed in.
"""
