"""Freshness: ages of predictions in, and out how much capture sends: quality, size and stride.

``ages`` is inference's side, ``keeper`` capture's; ``law`` decides for one stream, on ``knobs``. Pure: no
sockets, no pictures, times are passed in.
"""
