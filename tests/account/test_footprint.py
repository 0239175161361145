"""What statistics hold is known well enough to bound it, whatever they are made of."""

import tracemalloc

import msgspec
import pytest

from pipeline.account.footprint import MOST_BYTES, footprint, without_distributions
from pipeline.account.stats import MOST_STREAMS, Histogram, WorkerStats


def stats_of(shape: str) -> WorkerStats:
    stats = WorkerStats("sink", "sink", 1, "host", 2)
    match shape:
        case "buckets":
            for number in range(MOST_STREAMS):
                histograms = {str(stage): Histogram(dict.fromkeys(range(128), 1)) for stage in range(13)}
                stats.stream(f"made-up-{number}").latency = histograms
        case "large numbers":
            histogram = Histogram(dict.fromkeys(range(1024), 10**9))
            for number in range(MOST_STREAMS):
                stats.stream(f"made-up-{number}").latency["draw"] = histogram
        case "stages":
            for number in range(MOST_STREAMS):
                stats.stream(f"made-up-{number}").latency = {str(stage): Histogram() for stage in range(64)}
        case "sessions":
            stats.stream("door").seen = dict.fromkeys(range(100000), 1)
        case "details":
            stats.details = {"made-up": {str(number): 1 for number in range(100_000)}}
        case "text":
            stats.events = ["手" * 65_536] * 64
    return stats


@pytest.mark.parametrize("shape", ["buckets", "large numbers", "stages", "sessions", "details", "text"])
def test_it_is_what_the_statistics_hold_within_a_factor_of_two(shape: str) -> None:
    packed = msgspec.msgpack.encode(stats_of(shape))
    tracemalloc.start()
    try:
        stats = msgspec.msgpack.decode(packed, type=WorkerStats)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held > 2**21
    assert 0.5 < footprint(stats) / held < 2.0


def test_as_many_streams_as_a_worker_has_fit_without_their_latencies() -> None:
    stats = stats_of("buckets")
    assert footprint(stats) > MOST_BYTES
    for stream in stats.streams.values():
        stream.drop("wire.lost", 3)
        stream.seen = dict.fromkeys(range(8), 10)
    lean = without_distributions(stats)
    assert footprint(lean) < MOST_BYTES / 4
    assert lean.streams["made-up-0"].dropped == {"wire.lost": 3}
