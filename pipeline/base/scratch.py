"""Temporary folders; the next run removes those of killed processes."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK, _FILES = "lock", "files"


@contextmanager
def scratch_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A private folder, removed at the end of the block.

    A killed process can't remove its folder. So each process holds a file lock, which the system releases
    when the process ends, and the next process removes unlocked folders of the same prefix. A ``parent``
    outside the system's temporary folder allows atomic renames, which work only within one file system.

    Args:
        prefix: Prefix of its name. No other entry of ``parent`` may begin with it.
        parent: Parent folder; None for the system's temporary folder.

    Raises:
        OSError: The folder can't be created.
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
        lock.release()


def living_folders(prefix: str, parent: Path) -> list[Path]:
    """The folders of ``scratch_folder`` that running processes hold."""
    return [place / _FILES for place in parent.glob(f"{prefix}*") if _is_held(place)]


def _make(parent: Path, prefix: str) -> tuple[Path, FileLock]:
    """Creates and locks a folder; retries if another process removes it before it is locked."""
    while True:
        place = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        lock = _lock_of(place)
        with suppress(Timeout, FileNotFoundError):
            lock.acquire(blocking=False)
            if (place / _LOCK).exists():
                return place, lock
        lock.release()
        shutil.rmtree(place, ignore_errors=True)


def _remove_if_left(place: Path) -> None:
    if not (place / _LOCK).is_file():  # not ours, just created, or its process was killed at that moment
        with suppress(OSError):
            place.rmdir()
        return
    with suppress(Timeout, OSError), _lock_of(place).acquire(blocking=False):
        shutil.rmtree(place, ignore_errors=True)


def _is_held(place: Path) -> bool:
    if not (place / _LOCK).is_file():
        return False
    try:
        with _lock_of(place).acquire(blocking=False):
            return False
    except Timeout:
        return True
    except OSError:  # its process has just exited
        return False


def _lock_of(place: Path) -> FileLock:
    return FileLock(place / _LOCK, mode=0o600, thread_local=False)
