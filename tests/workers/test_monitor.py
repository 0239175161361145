"""The monitor as a program: it waits for workers, ends in order and writes its report."""

import json
import signal
from pathlib import Path

import msgspec
import pytest

from pipeline.account.stats import WorkerStats
from pipeline.base.config import load_config
from pipeline.wire.encoding import encode_stats
from pipeline.wire.publisher import Publisher
from pipeline.wire.security import SecurityPolicy
from tests.workers.program import Program, until
from workers.rundir import run_folder


def worker() -> WorkerStats:
    stats = WorkerStats("sink", "sink", session=1, host="host", pid=1, state="ready")
    stats.stream("door").rendered = 10
    return stats


def test_a_monitor_without_workers_says_so_and_finds_a_run_that_begins(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config()
    with Program(place, "monitor") as monitor:
        monitor.wait_for(r"no worker answers yet at ipc://\S+/shared/capture, .* start the workers")
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(monitor.runtime))
        with (
            run_folder() as folder,
            Publisher(f"ipc://{folder}/sink", config.wire, SecurityPolicy(config.security)) as publisher,
        ):

            def heard() -> bool:
                publisher.send(encode_stats(worker()))
                return "workers capture=absent inference=absent sink=ready" in monitor.out

            until(heard, "stats of the new run", 30.0, lambda: monitor.out)
        monitor.signal(signal.SIGINT)
        outcome = monitor.finish()
    assert outcome.code == 0, outcome.told()
    assert outcome.out.count("no worker answers") == 1
    assert "none yet" not in outcome.out


def test_a_monitor_that_never_heard_anybody_ends_with_one_line(place: Path) -> None:
    with Program(place, "monitor", "--seconds", "0.5") as monitor:
        outcome = monitor.finish()
    assert outcome.code == 2, outcome.told()
    assert outcome.err.startswith("error: no worker answers yet at ipc://"), outcome.told()
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
                publisher.send(encode_stats(worker()))
                return "workers capture=absent inference=absent sink=ready" in monitor.out

            until(is_shown, "statistics of a worker", 30.0, lambda: monitor.out)
            monitor.signal(number)
            outcome = monitor.finish()
    assert (outcome.code, outcome.err) == (0, ""), outcome.told()
    assert json.loads(report.read_text())["streams"]["door"]["rendered"] == 10


def test_a_monitor_that_started_after_a_worker_says_what_may_be_missing(place: Path) -> None:
    config, report = load_config(), place / "report.json"
    folder = place / "runtime" / "kvq-stream" / "shared"
    old = msgspec.structs.replace(worker(), session=1, sent_ns=3600 * 10**9)
    old.stream("door").drop("sink.absent", 5)
    note = (
        "monitor: started after sink: if one of them was restarted before, the counts of its earlier process"
    )
    with Program(place, "monitor", "--report", str(report)) as monitor:
        until(folder.exists, "the folder of the workers", 30.0)
        with Publisher(f"ipc://{folder}/sink", config.wire, SecurityPolicy(config.security)) as publisher:

            def is_noted() -> bool:
                publisher.send(encode_stats(old))
                return note in monitor.out

            until(is_noted, "the note", 30.0, lambda: monitor.out)
            monitor.signal(signal.SIGINT)
            outcome = monitor.finish()
    assert outcome.code == 0, outcome.told()
    assert outcome.out.count(note) == 2, "also where the report is named"
    written = json.loads(report.read_text())
    assert written["monitor"]["already_running"] == ["sink"]
    assert written["streams"]["door"]["dropped"] == {"sink.before_monitor": 5}
