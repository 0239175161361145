"""Temporary folders that do not pile up: what a killed process left is removed by the next one."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

_LOCK, _FILES = "lock", "files"


@contextmanager
def scratch_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A folder of one's own, removed at the end.

    A process that is killed can't remove it, so it holds a lock beside it, which the system takes back with
    the process: whoever starts later removes those of the same prefix that nobody holds. In the system's
    own folder for temporary files the system would do that one day; but a file that is to take its place in
    one go has to be made on the file system where it will stay.

    Args:
        prefix: Of the name. Nothing else in ``parent`` may begin with it.
        parent: Where; None for the system's folder for temporary files.

    Raises:
        OSError: It can't be made.
    """
    parent = parent or Path(tempfile.gettempdir())
    for other in parent.glob(f"{prefix}*"):
        _remove_if_left(other)
    place, lock = _make(parent, prefix)
    try:
        folder = place / _FILES
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(lock)


def _make(parent: Path, prefix: str) -> tuple[Path, int]:
    """A place that is locked; until it is, another process may take it for left over: then another one."""
    while True:
        place = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with suppress(FileNotFoundError):
            lock = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            if _lock(lock) != "held" and os.fstat(lock).st_nlink:
                return place, lock
            os.close(lock)


def _remove_if_left(place: Path) -> None:
    try:
        lock = os.open(place / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:  # somebody else's, or none of ours; or it was just made, or killed in that moment
        with suppress(OSError):
            place.rmdir()
        return
    if _lock(lock) == "mine":
        shutil.rmtree(place, ignore_errors=True)
    os.close(lock)


def _lock(lock: int) -> Literal["mine", "held", "unknown"]:
    """Takes a lock if nobody holds it; ``unknown`` on a file system without locks."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "held"
    except OSError:
        return "unknown"
    return "mine"
