"""What people see of a training run."""

import io
import json
import re
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from pipeline.base import stage_lines
from pipeline.training.progress import Reporter, _left, bars, watched


def shown(tmp_path: Path, *, terminal: bool) -> str:
    """Two records and a validation, as people see them."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=110, color_system=None)
    with Reporter(tmp_path / "metrics.jsonl", console, every_s=0.0, title="training, to here") as reporter:
        reporter.advance(0.25)
        reporter.training(step=1_000, loss=1.5, accuracy=0.5, clips_per_s=1234.0)
        reporter.advance(0.5)
        reporter.training(step=2_000, loss=0.75, accuracy=0.625, clips_per_s=1234.0)
        reporter.validation(0.7, step=2_000, accuracy=0.7, macro_f1=0.65)
        reporter.notify("a line for people")
    return screen.getvalue()


def test_a_terminal_shows_one_panel(tmp_path: Path) -> None:
    screen = shown(tmp_path, terminal=True)
    last = screen[screen.rindex("training, to here") :]
    for part in (
        "50%",
        "step 2,000",
        "loss 0.7500",
        "accuracy 0.625",
        "1,234 clips/s",
        "best 0.7000",
    ):
        assert part in last
    assert re.search(r"\d:\d\d:\d\d left", last)
    assert "a line for people" in screen


def test_without_a_terminal_there_are_plain_lines(tmp_path: Path) -> None:
    lines = shown(tmp_path, terminal=False).splitlines()
    assert lines[0] == " 25%  0:00 left  step 1,000  loss 1.5000  accuracy 0.500  1,234 clips/s"
    assert re.match(r" 50%  0:0\d left  step 2,000", lines[1])
    assert lines[2:] == ["a line for people"]


def test_every_figure_is_in_the_file(tmp_path: Path) -> None:
    shown(tmp_path, terminal=False)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1_000, 2_000, 2_000]
    assert [line["split"] for line in lines] == ["train", "train", "validation"]
    assert lines[2] == {"split": "validation", "step": 2_000, "accuracy": 0.7, "macro_f1": 0.65}


def test_a_full_disk_leaves_the_metrics_of_a_run_that_goes_on(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    before = "".join(json.dumps({"split": "train", "step": step}) + "\n" for step in range(10_000))
    metrics.write_text(before)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with (
            pytest.raises(OSError, match="File too large"),
            Reporter(metrics, Console(file=io.StringIO()), from_step=9_000),
        ):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert metrics.read_text() == before


def test_ranks_that_do_not_lead_print_and_write_nothing(tmp_path: Path) -> None:
    screen = io.StringIO()
    with Reporter(tmp_path / "metrics.jsonl", Console(file=screen), quiet=True) as reporter:
        reporter.training(step=1, loss=1.0)
        reporter.validation(0.5, step=1, accuracy=0.5)
        reporter.notify("nobody hears this")
    assert screen.getvalue() == ""
    assert not (tmp_path / "metrics.jsonl").exists()


def test_without_a_terminal_a_line_says_how_far_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    console = Console(file=io.StringIO(), force_terminal=False)
    with bars(console, disable=not console.is_terminal) as progress:
        assert list(watched([1, 2, 3], progress, "controls")) == [1, 2, 3]
        assert list(watched(iter("ab"), progress, "virtual camera 1x", 2)) == ["a", "b"]
    assert capfd.readouterr() == ("", "controls: 0 of 3\nvirtual camera 1x: 0 of 2\n")


def told(text: Callable[[], str], line: str) -> None:
    """Waits for a line that a thread prints."""
    deadline = time.monotonic() + 30
    while not re.search(line, text()):
        assert time.monotonic() < deadline, text()
        time.sleep(0.01)


def test_a_long_item_is_not_silent(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_lines, "EVERY_S", 0.01)
    console, printed = Console(file=io.StringIO(), force_terminal=False), [""]

    def read() -> str:
        printed[0] += capfd.readouterr().err
        return printed[0]

    with bars(console, disable=True) as progress:
        for item in watched([1, 2, 3], progress, "batches"):
            told(read, rf"batches: {item - 1} of 3, (0:\d\d left|time left: unknown)\n")


def test_without_a_terminal_a_long_step_is_not_silent(tmp_path: Path) -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=110, color_system=None)
    reporter = Reporter(tmp_path / "metrics.jsonl", console, from_step=3, steps=60, silence_s=0.01)
    with reporter, reporter.training_lines(0.05):
        told(screen.getvalue, r"  5%  time left: unknown  step 3 of 60\n")
        reporter.advance(0.5, step=30, loss=torch.tensor(0.625))
        told(screen.getvalue, r" 50%  \d:\d\d left  step 30 of 60  loss 0.6250\n")
        with reporter.validating():
            told(screen.getvalue, r" 50%  \d:\d\d left  step 30 of 60  loss 0.6250  validating\n")


def test_the_time_left_follows_the_mean_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.training.progress.time.monotonic", lambda: 1_000.0)
    assert _left(4, 11, 0.0, 1_000.0) == "45:50 left"
    assert _left(0.1, 0.8, 0.0, 900.0) == "1:58:20 left"
    assert _left(0, 15, 0.0, 0.0) == "time left: unknown"
    assert _left(4, 1, 900.0, 910.0) == "0:00 left"
