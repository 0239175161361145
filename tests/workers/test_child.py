"""One worker's process: asked to stop, stopped by somebody else, killed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.base.config import load_config
from tests.workers.program import END_S, START_S, until
from workers.child import Child
from workers.rundir import place_endpoints


@pytest.fixture
def font_list(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Exists once somebody has asked fontconfig for the fonts of the system."""
    program, asked = place / "bin" / "fc-list", place / "asked"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch '{asked}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return asked


@pytest.fixture
def sink(place: Path) -> Iterator[Child]:
    printed: list[str] = []
    child = Child("sink", "sink", printed.append)
    config = load_config(None, ["sink.web=false", "sink.record=false", "run.output_dir="])
    child.start(place_endpoints(config, place), {})

    def is_ready() -> bool:
        child.poll()
        return child.ready

    until(lambda: child.usage_at_start(), "its process is measured while it starts", START_S)
    usage = child.usage_at_start()
    assert usage is None or (usage.pid == child.pid and usage.rss_mb > 0)
    until(is_ready, "the sink is ready", START_S, lambda: "\n".join(printed))
    assert child.usage_at_start() is None, "it reports by itself now"
    yield child
    child.kill()
    child.join()


def test_a_worker_that_is_asked_to_stop_ends_in_order(sink: Child) -> None:
    sink.ask_to_stop()
    until(lambda: not sink.alive, "its end", END_S)
    assert (sink.exit_code, sink.pid) == (0, None)


def test_a_worker_that_somebody_has_stopped_ends_in_order_too(sink: Child) -> None:
    assert sink.pid is not None
    os.kill(sink.pid, signal.SIGSTOP)
    sink.ask_to_stop()
    until(lambda: not sink.alive, "its end", END_S)
    assert sink.exit_code == 0


def test_a_sink_that_is_ready_knows_the_fonts_of_the_system(font_list: Path, sink: Child) -> None:
    assert sink.ready
    assert font_list.exists()


def test_a_killed_worker_is_dead_at_once_even_if_it_was_stopped(sink: Child) -> None:
    assert sink.pid is not None
    os.kill(sink.pid, signal.SIGSTOP)
    sink.kill()
    until(lambda: not sink.alive, "its death", END_S)
    assert sink.cause_of_death == "was killed by SIGKILL"
