"""What people see of a training run."""

import io
import json
import struct
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.training.curves import draw_curves
from pipeline.training.progress import Reporter
from tests.support import need_module


def told(tmp_path: Path, *, terminal: bool) -> str:
    """Two records and a validation, as people see them."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=110, color_system=None)
    with Reporter(tmp_path / "metrics.jsonl", console, every_s=0.0, title="training, to here") as reporter:
        reporter.record(0.25, step=1_000, loss=1.5, accuracy=0.5, triplets_per_s=1234.0)
        reporter.record(0.5, step=2_000, loss=0.75, accuracy=0.625, triplets_per_s=1234.0)
        reporter.record(0.5, step=2_000, validation_accuracy=0.7, best=0.7)
        reporter.say("a line for people")
    return screen.getvalue()


def test_a_terminal_shows_one_panel(tmp_path: Path) -> None:
    screen = told(tmp_path, terminal=True)
    last = screen[screen.rindex("training, to here") :]
    for part in (
        "50%",
        "0:00 left",
        "step 2,000",
        "loss 0.7500",
        "accuracy 0.625",
        "1,234 clips/s",
        "best 0.7000",
    ):
        assert part in last
    assert "a line for people" in screen


def test_without_a_terminal_there_are_plain_lines(tmp_path: Path) -> None:
    lines = told(tmp_path, terminal=False).splitlines()
    assert (
        lines[0] == " 25%  time left: not known yet  step 1,000  loss 1.5000  accuracy 0.500  1,234 clips/s"
    )
    assert lines[1].startswith(" 50%  0:00 left  step 2,000")
    assert lines[2:] == ["a line for people"]


def test_every_figure_is_in_the_file(tmp_path: Path) -> None:
    told(tmp_path, terminal=False)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1_000, 2_000, 2_000]
    assert lines[2] == {"step": 2_000, "validation_accuracy": 0.7, "best": 0.7}


def test_who_does_not_lead_says_and_writes_nothing(tmp_path: Path) -> None:
    screen = io.StringIO()
    with Reporter(tmp_path / "metrics.jsonl", Console(file=screen), quiet=True) as reporter:
        reporter.record(0.5, step=1, loss=1.0)
        reporter.say("nobody hears this")
    assert screen.getvalue() == ""
    assert not (tmp_path / "metrics.jsonl").exists()


def test_the_curves_become_a_picture(tmp_path: Path) -> None:
    need_module("matplotlib", "matplotlib")
    told(tmp_path, terminal=False)
    assert draw_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png")
    header = (tmp_path / "curves.png").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", header[16:]) == (990, 660)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "metrics.jsonl"]


def test_without_matplotlib_there_is_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.training.curves.find_spec", lambda _: None)
    assert not draw_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
