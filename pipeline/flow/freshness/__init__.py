"""Freshness: caps the age of predictions by lowering quality, size and rate of frames.

``ages`` is inference's side, ``keeper`` capture's; ``law`` decides for one stream, on ``knobs``. Pure: no
sockets, no pictures, times are passed in.
"""
