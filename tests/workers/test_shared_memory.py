"""Frames in shared memory in whole runs: used by itself, fully accounted for, and gone when a worker is."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support import named_shared_memory, need_command, without
from tests.workers.pipeline import Pipeline
from tests.workers.program import START_S, Program, until

FRAMES = 60


def segments() -> set[tuple[int, str]]:
    """Who holds frames in shared memory on this machine: process, and inode of the memory."""
    found = set()
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
            found |= {(pid, line.split()[4]) for line in maps if "memfd:kvq-frames" in line}
    return found


@pytest.mark.slow
def test_a_run_uses_shared_memory_by_itself_and_loses_nothing(place: Path) -> None:
    before = named_shared_memory()
    with Pipeline(place, "--frames", str(FRAMES)) as run:
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    stream = outcome.stream("demo")
    assert stream["rendered"] == stream["predicted"] == FRAMES
    sent = outcome.report["frames_sent"]
    assert sum(sent.values()) == FRAMES
    assert sent["demo.shm"] >= FRAMES - 10, outcome.told()
    until(lambda: named_shared_memory() <= before, "nothing is left but what others may have by now", START_S)


SMALL = 'mount -t tmpfs -o size=16k kvq /dev/shm && exec "$@"'


@pytest.mark.slow
def test_a_full_dev_shm_does_not_matter(place: Path) -> None:
    unshare = [need_command("unshare", "util-linux"), "--mount", "sh", "-c", SMALL, "sh"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        without("this machine lets nobody mount a small disk")
    report = place / "report.json"
    program = Program(place)
    command = [sys.executable, str(Path(__file__).parents[2] / "run_stream.py"), "--headless", "--no-web"]
    done = subprocess.run(
        [*unshare, *command, "--frames", "30", "--set", "sink.record=false", "--report", str(report)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        cwd=place,
        env=program.environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"demo.shm"' in report.read_text(), done.stdout
    assert '"unaccounted": 0' in report.read_text()


@pytest.mark.slow
def test_workers_that_are_killed_on_their_own_terminals_leave_nothing(place: Path) -> None:
    """No supervisor tidies up after them."""
    files = named_shared_memory()
    arguments = {
        "sink": ("--set", "sink.web=false", "--set", "sink.record=false"),
        "inference": (),
        "capture": ("--source", "demo", "--set", "streams=[]"),
    }
    arguments["capture"] = ("--set", "streams=[{id='demo', source='demo', policy='newest'}]")
    with contextlib.ExitStack() as running:
        workers = {
            role: running.enter_context(Program(place, role, *more, name=role))
            for role, more in arguments.items()
        }
        pids = {worker.process.pid for worker in workers.values()}
        until(lambda: {pid for pid, _ in segments()} >= pids, "all three have frames in memory", START_S)
        memory = {inode for pid, inode in segments() if pid in pids}
        assert memory
        for role in ("capture", "inference", "sink"):
            os.kill(workers[role].process.pid, signal.SIGKILL)
            workers[role].process.wait()
            workers[role].wait_until_gone()
        assert not [pid for pid, inode in segments() if inode in memory]
    until(lambda: named_shared_memory() <= files, "nothing is left but what others may have by now", START_S)
