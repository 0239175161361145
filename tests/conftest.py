"""Fixtures for every room."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import without

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("tests", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

# Networks in tests are tiny: threads that wait for each other take several times as long as one, above all on
# a machine that also runs other tests. Read when torch is loaded, here and in the programs that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts the tests in the background makes them and the programs that they start deaf to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # likewise under nohup


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short path: those that pytest makes can be too long for the path of a socket."""
    with tempfile.TemporaryDirectory(prefix="kvq-") as folder:
        yield Path(folder)


@pytest.fixture
def small_disk(place: Path) -> Iterator[Path]:
    """A disk of 100 kB: needs root, or it could not be made."""
    disk = place / "disk"
    disk.mkdir()
    if os.geteuid() != 0:
        without("only root can mount a small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100k", "kvq", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        without(f"this machine lets nobody mount a small disk: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
