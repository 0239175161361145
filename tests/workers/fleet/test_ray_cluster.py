"""Where Ray is not installed, or no cluster is there; with a cluster: ``test_fleet_on_ray.py``."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import free_port, need_module
from tests.workers.program import PROGRAM, RUN_S

_WITHOUT_RAY = f"""
import sys
sys.modules["ray"] = None
import runpy
sys.argv = ["run_stream.py", *sys.argv[1:]]
runpy.run_path({str(PROGRAM)!r}, run_name="__main__")
"""
COMMANDS = [
    ["up", "--config", "fleet.toml"],
    ["status"],
    ["add", "gate", "demo"],
    ["remove", "gate"],
    ["drain", "10.0.0.1"],
    ["undrain", "10.0.0.1"],
    ["down"],
]


def run(folder: Path, *program: str) -> tuple[int, list[str]]:
    (folder / "fleet.toml").write_text("")
    done = subprocess.run(
        [sys.executable, *program], cwd=folder, capture_output=True, text=True, timeout=RUN_S, check=False
    )
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_without_ray_one_line_says_what_to_install(tmp_path: Path, command: list[str]) -> None:
    code, lines = run(tmp_path, "-c", _WITHOUT_RAY, "fleet", *command)
    assert code == 2
    assert lines == ["error: a fleet needs Ray: pip install 'kvq-stream[fleet]'"]


def test_the_file_is_checked_before_ray_is_looked_for(tmp_path: Path) -> None:
    code, lines = run(tmp_path, "-c", _WITHOUT_RAY, "fleet", "up", "--config", "nosuch.toml")
    assert code == 2
    assert len(lines) == 1
    assert "nosuch.toml" in lines[0]


@pytest.mark.slow
def test_without_a_cluster_one_line_says_how_to_start_one(tmp_path: Path) -> None:
    need_module("ray", "ray")
    address = f"127.0.0.1:{free_port()}"  # not "auto": there may be a cluster of others on this machine
    code, lines = run(tmp_path, str(PROGRAM), "fleet", "status", "--address", address)
    assert code == 2
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"error: no Ray cluster at {address!r} (")
    assert "ray start --head" in lines[0]
