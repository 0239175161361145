"""Limits the memory of received statistics."""

import sys
from typing import Any

import msgspec

from pipeline.account.stats import Histogram, WorkerStats

MOST_BYTES = 4 * 2**20
"""Memory limit of one message: about 200 streams with all latencies, or all streams without them."""

_BUCKET_BYTES = 32  # in addition to the dictionary; small integers are shared and cost nothing


def footprint(stats: WorkerStats) -> int:
    """Memory of statistics in bytes, within a factor of two."""
    return _size(stats)


def without_distributions(stats: WorkerStats) -> WorkerStats:
    """The statistics without distributions and events, which are large and hold no frame counts."""
    streams = {
        stream_id: msgspec.structs.replace(
            stream,
            latency={},
            things=msgspec.structs.replace(stream.things, direction_errors=Histogram()),
        )
        for stream_id, stream in stats.streams.items()
    }
    return msgspec.structs.replace(stats, streams=streams, events=[])


def _size(node: Any) -> int:
    own = sys.getsizeof(node)
    match node:
        case Histogram():
            return own + sys.getsizeof(node.counts) + _BUCKET_BYTES * len(node.counts)
        case dict():
            return own + sum(_size(key) + _size(value) for key, value in node.items())
        case list():
            return own + sum(map(_size, node))
        case msgspec.Struct():
            return own + sum(_size(getattr(node, name)) for name in node.__struct_fields__)
    return own
