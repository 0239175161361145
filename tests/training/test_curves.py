"""The course of a run as a picture."""

import struct
from pathlib import Path

import pytest

from pipeline.base.packages import MissingPackageError
from pipeline.training.curves import draw_curves
from tests.support import need_module
from tests.training.test_progress import shown


def test_the_curves_become_a_picture(tmp_path: Path) -> None:
    need_module("matplotlib", "matplotlib")
    shown(tmp_path, terminal=False)
    draw_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png")
    header = (tmp_path / "curves.png").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", header[16:]) == (990, 660)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "metrics.jsonl"]


def test_without_matplotlib_there_is_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match=r"matplotlib is not installed: pip install .*\[plots\]"):
        draw_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
