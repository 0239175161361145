"""Agents with real workers, all on this machine."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil
import pytest

from pipeline.base.config import load_config
from pipeline.base.role_names import Role
from tests.support import until
from tests.workers.program import START_S
from workers.fleet.agent import Agent
from workers.fleet.beat import Beat, Place
from workers.fleet.worker_client import Question, stream_path

HERE = Place("node-1", "127.0.0.1")
ENTRY = {"id": "gate ü", "source": "demo"}
_ALONE = """
import time, msgspec
from pipeline.base.config import load_config
from workers.fleet.agent import Agent
from workers.fleet.beat import Place
if __name__ == "__main__":
    config = load_config(None, ["run.output_dir=", "sink.web=false"])
    made = Agent("sink", "sink", msgspec.json.encode(config), Place("n", "127.0.0.1"))
    while made.beat().state != "ready":
        time.sleep(0.05)
    print(made.beat().pid, flush=True)
    time.sleep(600)
"""


@contextmanager
def agent(role: Role, *settings: str) -> Iterator[Agent]:
    quick = ("run.restart_backoff_s=[0.1]", "run.drain_timeout_s=1")
    config = load_config(None, ["run.output_dir=", "sink.web=false", *quick, *settings])
    made = Agent(role, role, msgspec.json.encode(config), HERE)
    try:
        yield made
    finally:
        made.stop()


def when(running: Agent, what: str, is_so) -> Beat:  # type: ignore[no-untyped-def]
    lines: list[str] = []

    def found() -> Beat | None:
        beat = running.beat()
        lines.extend(beat.lines)
        return beat if is_so(beat) else None

    return until(found, what, START_S, lambda: "\n".join(lines))  # type: ignore[return-value]


def is_ready(beat: Beat) -> bool:
    return beat.state == "ready"


def exists(pid: int | None) -> bool:
    return pid is not None and psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_worker_is_started_asked_and_stopped_in_order(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(place))
    with agent("capture") as running:
        first = running.beat()
        assert (first.state, first.session, first.place) == ("starting", 0, HERE)
        assert [one.name.startswith("kvq-agent-") for one in place.iterdir()] == [True]
        beat = when(running, "it is ready", is_ready)
        assert beat.session > 0
        assert sorted(beat.endpoints) == ["capture_stats", "frames"]
        assert len(set(beat.endpoints.values())) == 2
        assert running.ask(Question("POST", "/streams", ENTRY)).code == 201
        beat = when(running, "it has the stream", lambda beat: beat.streams == {"gate ü": 0})
        assert [(entry.id, entry.source) for entry in beat.entries] == [("gate ü", "demo")]
        refused = running.ask(Question("POST", "/streams", {"id": "yard", "source": "nosuch.mp4"}))
        assert refused.code == 400
        assert "nosuch.mp4" in refused.trouble()
        assert len(running.beat().entries) == 1, "what was refused is not kept"
        assert running.ask(Question("DELETE", stream_path("gate ü"))).done
        when(running, "it has none", lambda beat: (beat.streams, beat.entries) == ({}, []))
        pid = beat.pid
        assert exists(pid)
    assert not exists(pid)
    assert list(place.iterdir()) == []
    lines = running.beat().lines
    assert not any("killed" in line or "restarting in" in line for line in lines), lines


def test_a_worker_that_is_killed_is_started_again_and_what_it_read_is_remembered() -> None:
    with agent("capture") as running:
        first = when(running, "it is ready", is_ready)
        assert running.ask(Question("POST", "/streams", ENTRY)).code == 201
        when(running, "it has the stream", lambda beat: "gate ü" in beat.streams)
        assert first.pid
        os.kill(first.pid, signal.SIGKILL)
        down = when(running, "it is seen", lambda beat: beat.state != "ready")
        assert down.state == "down"
        again = when(running, "it is ready again", is_ready)
        assert again.session != first.session
        assert again.restarts == 1
        assert again.endpoints.keys() == first.endpoints.keys(), "at ports that are free now"
        assert (again.streams, [one.id for one in again.entries]) == ({}, ["gate ü"])


def test_a_worker_that_stands_still_is_down_then_killed_and_started_again() -> None:
    settings = ("run.hung_after_s=8", "wire.stats_interval_s=0.2")
    with agent("sink", *settings) as running:
        first = when(running, "it is ready", is_ready)
        assert first.pid
        os.kill(first.pid, signal.SIGSTOP)
        down = when(running, "it is seen", lambda beat: beat.state == "down")
        assert (down.pid, down.session) == (first.pid, first.session), "it may come back as it was"
        again = when(running, "it is ready again", lambda beat: is_ready(beat) and beat.pid != first.pid)
        assert again.restarts == 1
        assert not exists(first.pid)


def test_a_worker_that_goes_on_in_time_is_not_killed() -> None:
    with agent("sink", "run.hung_after_s=0") as running:
        first = when(running, "it is ready", is_ready)
        assert first.pid
        os.kill(first.pid, signal.SIGSTOP)
        when(running, "it is seen", lambda beat: beat.state == "down")
        os.kill(first.pid, signal.SIGCONT)
        assert when(running, "it is back", is_ready).session == first.session


def test_a_worker_that_can_not_be_asked_is_no_error() -> None:
    with agent("sink") as running:
        answer = running.ask(Question("GET", "/streams"))
        assert (answer.code, answer.done) == (0, False)
        beat = when(running, "it is ready", is_ready)
        assert beat.streams == {}
        assert beat.load is None


def told_until_tried_again(running: Agent) -> list[str]:
    told: list[str] = []

    def tried_again(beat: Beat) -> bool:
        told.extend(beat.lines)
        return beat.restarts >= 1

    beat = when(running, "it is tried again", tried_again)
    assert (beat.session, beat.state) == (0, "starting")
    return told


def test_a_worker_that_can_not_start_says_why_and_is_tried_again() -> None:
    with agent("sink", "sink.predictions=/dev/null/predictions.jsonl") as running:
        told = told_until_tried_again(running)
    assert any("/dev/null/predictions.jsonl" in line for line in told), told
    assert any(line.startswith("sink died with exit code") for line in told), told


def test_a_worker_that_does_not_become_ready_is_killed() -> None:
    with agent("sink", "run.ready_timeout_s=0.1") as running:  # its process takes longer to begin
        assert "sink hung and was killed" in told_until_tried_again(running)


def test_a_worker_is_gone_with_its_agent() -> None:
    program = [sys.executable, "-c", _ALONE]
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(subprocess.Popen(program, stdout=subprocess.PIPE, text=True))
        stack.callback(process.kill)
        assert process.stdout
        pid = int(process.stdout.readline())
        assert exists(pid)
        process.kill()
        until(lambda: not exists(pid), "the worker is gone too", START_S)
