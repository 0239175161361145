"""What the monitor keeps and says of workers that come, go and are not there, over real sockets."""

import io
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from pipeline.account.stats import WorkerStats
from pipeline.base.config import load_config
from pipeline.view.plain_line import plain_line
from pipeline.wire.census import MOST_NAMES
from pipeline.wire.codec import encode_stats
from pipeline.wire.publisher import Publisher
from pipeline.wire.security import SecurityPolicy
from tests.workers.program import Program, until
from workers.collector import Collector
from workers.rundir import RunFolder
from workers.screen import Screen

LIVES = 30
Tell = Callable[[WorkerStats], list[str]]


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
    """Sends figures until they, or a word about their refusal, have arrived; returns what is new."""
    config = load_config()
    with Publisher(f"ipc://{place}/sink_stats", config.wire, SecurityPolicy(config.security)) as publisher:

        def send(figures: WorkerStats) -> list[str]:
            for _ in range(200):
                figures.sent_ns += 1
                publisher.send(encode_stats(figures))
                heard = [f.sent_ns for f in collector.sessions if f.worker == figures.worker]
                news = collector.poll(0.05)
                if [f.sent_ns for f in collector.sessions if f.worker == figures.worker] != heard:
                    return news
                if any("more than" in event for event in news):
                    return news
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


@pytest.mark.parametrize("ended", ["stopped", "failed"])
def test_nothing_is_under_way_once_all_have_ended_though_one_was_killed(
    collector: Collector, tell: Tell, ended: str
) -> None:
    def told(session: int, state: str, rendered: int, seen: int) -> dict[str, int]:
        figures = WorkerStats("sink", "sink", session, "host", 100 + session, state=state, sent_ns=session)
        figures.stream("door").rendered, figures.stream("door").seen = rendered, {1: seen}
        tell(figures)
        door = collector.report()["streams"]["door"]
        return {"in_flight": door["in_flight"], "unaccounted": door["unaccounted"], **door["dropped"]}

    assert told(1, "ready", 3, 8) == {"in_flight": 5, "unaccounted": 0}
    assert told(2, ended, 2, 10) == {"in_flight": 0, "unaccounted": 0, "sink.killed": 5}


def test_invented_workers_are_refused_in_words(collector: Collector, tell: Tell) -> None:
    for number in range(MOST_NAMES + 1):
        news = tell(WorkerStats(f"made-up-{number}", "sink", 1, "host", 1))
    assert len(collector.sessions) == MOST_NAMES
    assert "monitor: " in news[-1]
    assert f"more than {MOST_NAMES} workers" in news[-1]


def test_a_worker_that_has_not_spoken_is_starting_not_silent(collector: Collector, tell: Tell) -> None:
    tell(WorkerStats("sink", "sink", 1, "host", 1, state="ready", sent_ns=1_800_000_000 * 10**9))
    line = plain_line(collector.view("test", processes={"sink": 1, "inference": 2, "capture": 3}))
    assert line.endswith("workers capture=starting inference=starting sink=ready")


def test_a_dead_worker_is_down_and_the_next_one_starting_until_it_speaks(
    collector: Collector, tell: Tell
) -> None:
    figures = WorkerStats("sink", "sink", 1, "host", 1, state="ready", sent_ns=1_800_000_000 * 10**9)
    figures.stream("door").state, figures.stream("door").rendered, figures.stream("door").fps = "up", 90, 25.0
    tell(figures)
    for pid, state in ((1, "ready"), (None, "down"), (2, "starting")):
        view = collector.view("test", processes={"sink": pid})
        assert plain_line(view).endswith(f"workers sink={state}")
        assert "shown 90" in plain_line(view), "what it has done stays done"
        assert ("25 shown" in plain_line(view)) == (state == "ready"), "the dead show nothing"
    stopped = msgspec.structs.replace(figures, state="stopped")
    tell(stopped)
    assert plain_line(collector.view("test", processes={"sink": None})).endswith("sink=stopped")


def test_a_restarted_worker_tells_late_monitors_of_its_former_lives(collector: Collector, tell: Tell) -> None:
    for number in (1, 2):
        tell(life(number, events=["once is enough"]))
    former = collector.former("sink")
    assert [figures.session for figures in former] == [1, 2]
    assert [figures.events for figures in former] == [[], []]
    assert collector.former("capture") == []


def test_a_live_screen_shows_an_event_once_and_leaves_it_once(collector: Collector) -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, height=30, force_terminal=True)
    with Screen(console, live=True, refresh_fps=1000) as screen:
        for _ in range(3):
            screen.event("inference: waiting for sink to connect")
        screen.update(collector.view("test"))
        shown = out.getvalue()
        assert shown.count("waiting for sink") == 1
        assert "connect (3 times)" in shown
    left = out.getvalue().rpartition("\x1b[2K")[2]  # what was written after the table was wiped out
    assert left == "inference: waiting for sink to connect (3 times)\n"


def test_nobody_to_listen_to_is_said_and_a_run_that_begins_is_found(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config()
    with Program(place, "monitor") as monitor:
        monitor.wait_for(r"no worker answers at ipc://\S+/shared/capture, .* start a pipeline with")
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(monitor.runtime))
        with (
            RunFolder() as folder,
            Publisher(f"ipc://{folder.path}/sink", config.wire, SecurityPolicy(config.security)) as publisher,
        ):

            def heard() -> bool:
                publisher.send(encode_stats(life(1, state="ready")))
                return "workers sink=ready" in monitor.out

            until(heard, "figures of the new run", 30.0, lambda: monitor.out)
        monitor.signal(signal.SIGINT)
        outcome = monitor.finish()
    assert outcome.code == 0, outcome.told()
    assert outcome.out.count("no worker answers") == 1


def test_a_monitor_that_never_heard_anybody_fails_in_words(place: Path) -> None:
    with Program(place, "monitor", "--seconds", "0.5") as monitor:
        outcome = monitor.finish()
    assert outcome.code == 2, outcome.told()
    assert outcome.err.startswith("error: no worker answers at ipc://"), outcome.told()
    assert "(waited 0.5 s)" in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_monitor_that_is_asked_to_end_writes_its_report(number: signal.Signals, place: Path) -> None:
    config = load_config()
    report = place / "report.json"
    folder = place / "runtime" / "kvq-stream" / "shared"
    with Program(place, "monitor", "--report", str(report)) as monitor:
        until(folder.exists, "the folder of the workers", 30.0)
        with Publisher(f"ipc://{folder}/sink", config.wire, SecurityPolicy(config.security)) as publisher:

            def is_shown() -> bool:
                publisher.send(encode_stats(life(1, state="ready")))
                return "workers sink=ready" in monitor.out

            until(is_shown, "statistics of a worker", 30.0, lambda: monitor.out)
            monitor.signal(number)
            outcome = monitor.finish()
    assert (outcome.code, outcome.err) == (0, ""), outcome.told()
    assert json.loads(report.read_text())["streams"]["door"]["rendered"] == 10


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
