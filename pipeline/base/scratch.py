"""Temporary folders; the next run removes those of killed ones."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK, _FILES = "lock", "files"


@contextmanager
def scratch_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A folder of one's own, removed at the end.

    A process that is killed can't remove it, so it holds a lock beside it, which the system takes back with
    the process: the next one to start removes those of the same prefix that nobody holds. In the system's
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
        lock.release()


def living_folders(prefix: str, parent: Path) -> list[Path]:
    """The folders of ``scratch_folder`` that processes hold now."""
    return [place / _FILES for place in parent.glob(f"{prefix}*") if _is_held(place)]


def _make(parent: Path, prefix: str) -> tuple[Path, FileLock]:
    """A place that is locked; until it is, another process may take it for left over: then another one."""
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
    if not (place / _LOCK).is_file():  # somebody else's; or it was just made, or killed in that moment
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
    except OSError:  # it has just ended
        return False


def _lock_of(place: Path) -> FileLock:
    return FileLock(place / _LOCK, mode=0o600, thread_local=False)
