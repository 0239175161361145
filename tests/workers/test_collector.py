"""What is known of workers that come, go and are not there, over real sockets."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from pipeline.account.footprint import MOST_BYTES, footprint
from pipeline.account.stats import Histogram, WorkerStats
from pipeline.base.config import load_config
from pipeline.base.event import rfc3339
from pipeline.view.plain_line import plain_line
from pipeline.wire.census import MOST_WORKERS
from pipeline.wire.encoding import encode_stats
from pipeline.wire.publisher import Publisher
from pipeline.wire.security import SecurityPolicy
from tests.workers.program import until
from workers.collector import Collector

LIVES = 30
Send = Callable[[WorkerStats], list[str]]


@pytest.fixture
def collector(place: Path) -> Iterator[Collector]:
    config = load_config()
    names = ("frames", "predictions", "capture_stats", "inference_stats", "sink_stats")
    endpoints = msgspec.structs.replace(config.endpoints, **{n: [f"ipc://{place}/{n}"] for n in names})
    made = Collector(msgspec.structs.replace(config, endpoints=endpoints))
    yield made
    made.close()


@pytest.fixture
def send(collector: Collector, place: Path) -> Iterator[Send]:
    """Sends stats until they, or an event about their refusal, have arrived; returns what is new."""
    config = load_config()
    with Publisher(f"ipc://{place}/sink_stats", config.wire, SecurityPolicy(config.security)) as publisher:

        def deliver(stats: WorkerStats) -> list[str]:
            for _ in range(200):
                stats.sent_ns += 1
                publisher.send(encode_stats(stats))
                heard = [f.sent_ns for f in collector.sessions if f.worker == stats.worker]
                news = collector.poll(0.05)
                if [f.sent_ns for f in collector.sessions if f.worker == stats.worker] != heard:
                    return news
                if any("more than" in event for event in news):
                    return news
            raise AssertionError("never arrived")

        yield deliver


def life(number: int, **changes: object) -> WorkerStats:
    stats = WorkerStats("sink", "sink", number, "host", 100 + number, state="stopped", sent_ns=number * 10**6)
    door = stats.stream("door")
    door.rendered, door.seen = 10, {1: 10 * number}
    door.drop("sink.overflow", 2)
    door.drop("wire.absent", 5)
    door.record("draw", 10**6)
    return msgspec.structs.replace(stats, **changes)


def test_old_processes_are_added_up_and_nothing_is_lost(collector: Collector, send: Send) -> None:
    for number in range(1, LIVES + 1):
        send(life(number))
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


def test_a_process_that_was_added_up_is_not_counted_twice(collector: Collector, send: Send) -> None:
    for number in range(1, LIVES + 1):
        send(life(number))
    late, newest = life(1), life(LIVES)
    newest.stream("door").rendered = 11
    with pytest.raises(AssertionError, match="never arrived"):
        send(late)
    send(newest)
    assert collector.report()["streams"]["door"]["rendered"] == 10 * LIVES + 1


@pytest.mark.parametrize("ended", ["stopped", "failed"])
def test_nothing_is_under_way_once_all_have_ended_though_one_was_killed(
    collector: Collector, send: Send, ended: str
) -> None:
    def account(session: int, state: str, rendered: int, seen: int) -> dict[str, int]:
        stats = WorkerStats("sink", "sink", session, "host", 100 + session, state=state, sent_ns=session)
        stats.stream("door").rendered, stats.stream("door").seen = rendered, {1: seen}
        send(stats)
        door = collector.report()["streams"]["door"]
        return {"in_flight": door["in_flight"], "unaccounted": door["unaccounted"], **door["dropped"]}

    assert account(1, "ready", 3, 8) == {"in_flight": 5, "unaccounted": 0}
    assert account(2, ended, 2, 10) == {"in_flight": 0, "unaccounted": 0, "sink.killed": 5}


def test_invented_workers_are_refused_with_an_event(collector: Collector, send: Send) -> None:
    for number in range(MOST_WORKERS + 1):
        news = send(WorkerStats(f"made-up-{number}", "sink", 1, "host", 1))
    assert len(collector.sessions) == MOST_WORKERS
    assert "monitor: " in news[-1]
    assert f"more than {MOST_WORKERS} workers" in news[-1]


def test_a_worker_that_has_not_reported_is_starting_not_silent(collector: Collector, send: Send) -> None:
    send(WorkerStats("sink", "sink", 1, "host", 1, state="ready", sent_ns=1_800_000_000 * 10**9))
    line = plain_line(collector.view("test", processes={"sink": 1, "inference": 2, "capture": 3}))
    assert line.endswith("workers capture=starting inference=starting sink=ready")


def test_a_monitor_lists_workers_that_are_away_as_absent_once_another_one_reports(
    collector: Collector, send: Send
) -> None:
    assert "absent" not in plain_line(collector.view("monitor"))
    stats = WorkerStats("sink", "sink", 1, "host", 1, state="ready", sent_ns=1_800_000_000 * 10**9)
    stats.stream("door").state = "up"
    send(stats)
    line = plain_line(collector.view("monitor"))
    assert line.endswith("workers capture=absent inference=absent sink=ready")
    assert "door up" in line, "the monitor may only lack the endpoint of a capture worker that runs"


def test_a_dead_worker_is_down_and_the_next_one_starting_until_it_reports(
    collector: Collector, send: Send
) -> None:
    stats = WorkerStats("sink", "sink", 1, "host", 1, state="ready", sent_ns=1_800_000_000 * 10**9)
    stats.stream("door").state, stats.stream("door").rendered, stats.stream("door").fps = "up", 90, 25.0
    send(stats)
    for pid, state in ((1, "ready"), (None, "down"), (2, "starting")):
        view = collector.view("test", processes={"sink": pid})
        assert plain_line(view).endswith(f"workers sink={state}")
        assert "shown 90" in plain_line(view), "what it has done stays done"
        assert ("25 shown" in plain_line(view)) == (state == "ready"), "the dead show nothing"
    stopped = msgspec.structs.replace(stats, state="stopped")
    send(stopped)
    assert plain_line(collector.view("test", processes={"sink": None})).endswith("sink=stopped")


def test_late_monitors_learn_of_the_former_lives_of_a_worker(collector: Collector, send: Send) -> None:
    for number in (1, 2):
        send(life(number, events=["once is enough"]))
    former = collector.former("sink")
    assert [stats.session for stats in former] == [1, 2]
    assert [stats.events for stats in former] == [[], []]
    assert collector.former("capture") == []


@pytest.mark.parametrize("ran_s", [0, 3600])
def test_a_worker_that_ran_before_the_monitor_is_named_in_the_report(
    collector: Collector, send: Send, ran_s: int
) -> None:
    there_ns = 1_700_000_000 * 10**9  # the clock of another machine, years behind
    stats = WorkerStats("inference", "inference", there_ns, "host", 1, "ready", there_ns + ran_s * 10**9)
    stats.stream("door").skip("inference.absent", 2693)
    send(stats)
    report = collector.report()
    counted = report["streams"]["door"]["not_predicted"]
    if ran_s:
        assert counted == {"inference.before_monitor": 2693}
        assert report["monitor"]["already_running"] == ["inference"]
        assert report["monitor"]["since"] == rfc3339(collector.started_ns)
    else:
        assert counted == {"inference.absent": 2693}
        assert "monitor" not in report


def test_a_worker_whose_clock_is_set_later_did_not_run_before_the_monitor(
    collector: Collector, send: Send
) -> None:
    """Such as a machine without a battery that gets the time from the network after the start."""
    stats = WorkerStats("inference", "inference", 10**9, "host", 1, "ready", 10**9)
    stats.stream("door").skip("inference.absent", 3)
    send(stats)
    stats.sent_ns = 1_700_000_000 * 10**9
    send(stats)
    report = collector.report()
    assert report["streams"]["door"]["not_predicted"] == {"inference.absent": 3}
    assert "monitor" not in report


def test_statistics_that_are_out_of_range_are_refused(collector: Collector, place: Path) -> None:
    config = load_config()
    hostile = life(1, worker="hostile")
    hostile.stream("door").latency["draw"].counts = {2**40: 1}
    message = encode_stats(hostile)
    until(lambda: collector.poll(0.05) or True, "start", 1.0)
    with Publisher(f"ipc://{place}/sink_stats", config.wire, SecurityPolicy(config.security)) as publisher:

        def refused() -> bool:
            publisher.send(message)
            return any("refused" in event or "header" in event for event in collector.poll(0.05))

        until(refused, "the refusal", 30.0)
    assert collector.sessions == []
    plain_line(collector.view("test"))


def test_invented_hosts_are_refused_with_an_event(collector: Collector, send: Send) -> None:
    for number in range(MOST_WORKERS + 1):
        news = send(WorkerStats("capture", "sink", number, f"made-up-{number}", 1))
    assert len(collector.sessions) == MOST_WORKERS
    assert f"more than {MOST_WORKERS} workers" in news[-1]


def crowded(number: int) -> WorkerStats:
    """Large statistics of a hostile worker: each process of it brings reasons of its own."""
    stats = life(number, worker="hostile", streams={})
    for stream in range(130):
        door = stats.stream(f"made-up-{stream}")
        door.dropped = {f"reason.{number}-{reason}": 1 for reason in range(60)}
        door.latency = {str(stage): Histogram(dict.fromkeys(range(90), 1)) for stage in range(2)}
    return stats


def test_what_is_kept_of_one_worker_is_bounded_however_much_it_sends(
    collector: Collector, send: Send
) -> None:
    assert footprint(crowded(1)) < MOST_BYTES
    news = [event for number in range(1, 13) for event in send(crowded(number))]
    assert sum(map(footprint, collector.sessions)) < 2 * MOST_BYTES
    assert sum("its statistics are too large in total" in event for event in news) == 1
    send(life(1))
    assert collector.report()["streams"]["door"]["rendered"] == 10, "others are heard as before"


def test_large_statistics_of_an_honest_worker_add_up(collector: Collector, send: Send) -> None:
    for number in range(1, 13):
        stats = life(number)
        for stage in range(20):
            for stream in range(20):
                histogram = Histogram(dict.fromkeys(range(90), 1))
                stats.stream(f"stream-{stream}").latency[str(stage)] = histogram
        send(stats)
    assert len(collector.sessions) < 9, "added up before there are too many"
    assert sum(map(footprint, collector.sessions)) < 2 * MOST_BYTES
    assert collector.report()["streams"]["door"]["rendered"] == 10 * 12
