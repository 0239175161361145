"""Flame graphs: the pictures are of the two workers that they name."""

import importlib.util
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import flames


def test_without_py_spy_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ValueError, match="pip install py-spy"):
        flames.record(tmp_path / "pictures", 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_both_workers_are_drawn(tmp_path: Path) -> None:
    spy = shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if spy is None or not importlib.util.find_spec("openvino"):
        pytest.skip("py-spy or openvino is not installed")
    if not may_trace(spy):
        pytest.skip("py-spy may not look into processes here")  # under CI too
    flames.record(tmp_path / "pictures", 2)
    for role, does in (("capture", "FramePublisher.send_frame"), ("inference", "Runtime.infer")):
        drawn = (tmp_path / "pictures" / f"flame_{role}.svg").read_text()
        assert does in drawn
        assert str(tmp_path) not in drawn


def may_trace(spy: str) -> bool:
    """Whether py-spy gets to see a process that is not its child, as in ``record``."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        for _ in range(50):  # until Python is up
            dump = subprocess.run([spy, "dump", "--pid", str(other.pid)], capture_output=True, check=False)
            if not dump.returncode:
                break
            time.sleep(0.1)
        other.kill()
    return not dump.returncode


def test_a_refusal_of_py_spy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = tmp_path / "py-spy"
    refusing.write_text("#!/bin/sh\necho may not trace >&2; exit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setattr(flames, "_START_S", 2.0)
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'], stderr=-3)"
    with (
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as pipeline,
        pytest.raises(ValueError, match="last message of py-spy: may not trace"),
    ):
        flames._workers(str(refusing), pipeline)


def test_a_pipeline_that_ended_is_not_waited_for(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as pipeline:
        pipeline.wait()
        with pytest.raises(ValueError, match="ended immediately"):
            flames._workers("py-spy", pipeline)
