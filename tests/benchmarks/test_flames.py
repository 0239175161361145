"""Flame graphs: the pictures are of the two workers that they name."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.flames import record


def test_without_py_spy_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ValueError, match="pip install py-spy"):
        record(tmp_path / "pictures", 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_both_workers_are_drawn(tmp_path: Path) -> None:
    if not shutil.which("py-spy", path=str(Path(sys.executable).parent)) or not importlib.util.find_spec(
        "openvino"
    ):
        pytest.skip("py-spy or openvino is not installed")  # under CI too: it needs the right to trace
    record(tmp_path / "pictures", 2)
    for role, does in (("capture", "FramePublisher.send_frame"), ("inference", "CommonRuntime.infer")):
        drawn = (tmp_path / "pictures" / f"flame_{role}.svg").read_text()
        assert does in drawn
        assert str(tmp_path) not in drawn
