"""What the monitor keeps of workers that come and go, over real sockets."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from pipeline.config import load_config
from pipeline.stats import WorkerStats
from pipeline.view.terminal import plain_line
from pipeline.wire.census import MOST_NAMES
from pipeline.wire.codec import encode_stats
from pipeline.wire.security import SecurityPolicy
from pipeline.wire.transport import Publisher
from workers.monitor import Collector

LIVES = 30
Tell = Callable[[WorkerStats], None]


@pytest.fixture
def collector(place: Path) -> Iterator[Collector]:
    config = load_config()
    names = ("frames", "predictions", "capture_stats", "inference_stats", "sink_stats")
    endpoints = msgspec.structs.replace(config.endpoints, **{n: [f"ipc://{place}/{n}"] for n in names})
    made = Collector(msgspec.structs.replace(config, endpoints=endpoints))
    yield made
    made.close()


@pytest.fixture
def tell(collector: Collector, place: Path) -> Iterator[Tell]:
    """Sends figures until they, or a word about their refusal, have arrived."""
    config = load_config()
    with Publisher(f"ipc://{place}/sink_stats", config.wire, SecurityPolicy(config.security)) as publisher:

        def send(figures: WorkerStats) -> None:
            for _ in range(200):
                figures.sent_ns += 1
                publisher.send(encode_stats(figures))
                heard = [f.sent_ns for f in collector.sessions if f.worker == figures.worker]
                collector.poll(0.05)
                if [f.sent_ns for f in collector.sessions if f.worker == figures.worker] != heard:
                    return
                if any("names" in event or "more than" in event for event in collector.events):
                    return
            raise AssertionError("never arrived")

        yield send


def life(number: int, **changes: object) -> WorkerStats:
    figures = WorkerStats(
        "sink", "sink", number, "host", 100 + number, state="stopped", sent_ns=number * 10**6
    )
    stats = figures.stream("door")
    stats.rendered, stats.seen = 10, {1: 10 * number}
    stats.drop("sink.overflow", 2)
    stats.drop("wire.absent", 5)
    stats.record("draw", 10**6)
    return msgspec.structs.replace(figures, **changes)


def test_old_processes_are_added_up_and_nothing_is_lost(collector: Collector, tell: Tell) -> None:
    for number in range(1, LIVES + 1):
        tell(life(number))
    assert len(collector.sessions) < 12
    report = collector.report()
    door = report["streams"]["door"]
    assert door["rendered"] == 10 * LIVES
    assert door["dropped"] == {"sink.overflow": 2 * LIVES, "wire.absent": 5}
    assert door["captured"] == 10 * LIVES
    assert report["workers"]["sink"]["restarts"] == LIVES - 1
    newest = collector.newest("sink")
    assert newest is not None
    assert newest.pid == 100 + LIVES
    assert sum(f.streams["door"].latency["draw"].total for f in collector.sessions) == LIVES


def test_a_process_that_was_added_up_is_not_counted_twice(collector: Collector, tell: Tell) -> None:
    for number in range(1, LIVES + 1):
        tell(life(number))
    late, newest = life(1), life(LIVES)
    newest.stream("door").rendered = 11
    with pytest.raises(AssertionError, match="never arrived"):
        tell(late)
    tell(newest)
    assert collector.report()["streams"]["door"]["rendered"] == 10 * LIVES + 1


def test_invented_workers_are_refused_in_words(collector: Collector, tell: Tell) -> None:
    for number in range(MOST_NAMES + 1):
        tell(WorkerStats(f"made-up-{number}", "sink", 1, "host", 1))
    assert len(collector.sessions) == MOST_NAMES
    assert "monitor: " in collector.events[-1]
    assert f"more than {MOST_NAMES} workers" in collector.events[-1]


def test_a_worker_that_has_not_spoken_is_starting_not_silent(collector: Collector, tell: Tell) -> None:
    tell(WorkerStats("sink", "sink", 1, "host", 1, state="ready", sent_ns=1_800_000_000 * 10**9))
    line = plain_line(collector.view("test", expected=("sink", "inference", "capture")))
    assert line.endswith("workers capture=starting inference=starting sink=ready")
