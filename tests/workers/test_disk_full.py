"""A disk that fills up while a run records."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.workers.pipeline import Pipeline

FRAMES = 60


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


def without(reason: str) -> NoReturn:
    """Skips the test on a user's machine; under CI it has to run."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def test_a_full_disk_ends_the_recording_not_the_run(place: Path, small_disk: Path) -> None:
    with Pipeline(place, "--frames", str(FRAMES), "--set", f"run.output_dir={small_disk}") as run:
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    assert "recording stopped" in outcome.out
    assert "no space left on device" in outcome.out
    assert outcome.stream("demo")["rendered"] == FRAMES
    assert [line["seq"] for line in outcome.predictions] == list(range(FRAMES))
