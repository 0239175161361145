import msgspec
import numpy as np
import pytest

from pipeline.account.stats import Histogram, StreamStats, WorkerStats
from pipeline.account.whole_run import merge
from pipeline.base.ranges import MOST_COUNT


def test_percentiles_agree_with_numpy_within_the_stated_error() -> None:
    values = np.random.default_rng(0).lognormal(2.0, 1.0, 20_000)
    histogram = Histogram()
    for value in values:
        histogram.record(float(value))
    for percent in (50, 95, 99):
        assert histogram.percentile(percent) == pytest.approx(np.percentile(values, percent), rel=0.025)


def test_merged_histograms_equal_one_over_all_values() -> None:
    parts, whole = [Histogram(), Histogram()], Histogram()
    for i in range(1000):
        parts[i % 2].record(i * 0.37)
        whole.record(i * 0.37)
    parts[0].merge(parts[1])
    assert parts[0] == whole


@pytest.mark.parametrize(
    ("percent", "expected"), [(1, 1), (50, 1), (51, 100), (75, 100), (76, 1000), (100, 1000)]
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(percent: int, expected: float) -> None:
    histogram = Histogram()
    for value in (1, 1000, 100, 1):
        histogram.record(value)
    assert histogram.percentile(percent) == pytest.approx(expected, rel=0.025)


def test_sums_of_invented_counts_can_still_be_sent() -> None:
    invented = StreamStats(dropped={"wire.lost": MOST_COUNT}, not_predicted={"wire.lost": MOST_COUNT})
    total = merge([invented, invented])
    assert total.dropped == total.not_predicted == {"wire.lost": MOST_COUNT}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(total), type=StreamStats) == total


def test_an_empty_histogram_has_no_percentile() -> None:
    assert Histogram().percentile(50) is None


def test_memory_is_bounded_whatever_is_recorded() -> None:
    histogram = Histogram()
    for value in np.random.default_rng(0).uniform(-1e3, 1e9, 50_000):
        histogram.record(float(value))
    assert len(histogram.counts) < 700


def test_streams_do_not_share_their_counts() -> None:
    first, second = StreamStats(), StreamStats()
    first.drop("wire.lost", 3)
    first.record("step", 1_000_000)
    assert (second.dropped, second.latency) == ({}, {})


def test_figures_survive_the_wire() -> None:
    stats = WorkerStats("sink", "sink", 1, "here", 2)
    stats.stream("cam").drop("sink.overflow")
    stats.stream("cam").record("draw", 2_500_000)
    stats.stream("cam").seen[7] = 100
    packed = msgspec.msgpack.encode(stats)
    assert msgspec.msgpack.decode(packed, type=WorkerStats) == stats
