"""All recordings on disk: finishes files of killed runs and deletes the oldest ones."""

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from pipeline.base.clock import now_ns
from pipeline.base.closing import Closing
from pipeline.base.oldest_first import OldestFirst
from pipeline.events.evidence_shelf import keep_whole_fragments
from pipeline.view.recorder import was_finished, was_recorded
from workers.base import WorkerError

_RUN = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d")
"""Name of a run's folder."""
_CHECKS_S = 60.0
_TIMES_FREE = 2  # twice the free space that evidence needs, so that recordings are deleted first


class RecordingShelf(Closing):
    """The recordings of this run, and those of other runs in sibling folders.

    Only files written by a recorder that still have their name and place are removed or truncated. Files that
    another process is writing are left alone: each file is locked while it grows.

    Args:
        folder: Folder of this run; created with the first recording.
        keep_days: Age at which recordings are removed, in days.
        max_mb: Limit for all recordings in 2**20 bytes; the oldest are removed first.
        removed: Called with the path of each removed file.

    Raises:
        WorkerError: The folder is not writable.
    """

    def __init__(self, folder: Path, keep_days: float, max_mb: float, removed: Callable[[str], None]) -> None:
        _make_writable(folder)
        self.folder, self._removed = folder, removed
        self._kept = OldestFirst[Path](folder.parent, keep_days, max_mb, self._remove, _TIMES_FREE)
        self._growing: dict[Path, BinaryIO] = {}
        self._checked_s = 0.0
        self._needs_room = False
        self._freeing = ThreadPoolExecutor(1, "freeing")
        for path in sorted(folder.parent.glob("*/*.mp4")):
            if _RUN.fullmatch(path.parent.name) and not path.parent.is_symlink():
                self._take_over(path)

    def begin(self, path: Path) -> None:
        """Locks a growing file, so that no process removes it."""
        with suppress(OSError):  # deleted, or a file system without locks
            file = self._growing[path] = path.open("rb")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def end(self, path: Path) -> None:
        """Releases a file, which may be removed later; truncates an unfinished one to its playable part."""
        with suppress(OSError):
            if was_finished(path) or keep_whole_fragments(path):
                self._add(path)
            else:
                self._removed(str(path))
        if file := self._growing.pop(path, None):
            file.close()
        self._kept.forget_old(now_ns())

    def make_room(self) -> bool:
        """Removes the oldest recordings while the disk is nearly full; returns whether there is room."""
        self._needs_room = True
        try:
            return self._kept.make_room()
        except OSError:
            return False
        finally:
            self._needs_room = False

    def check(self) -> None:
        """Removes expired recordings once a minute."""
        if time.monotonic() - self._checked_s > _CHECKS_S:
            self._checked_s = time.monotonic()
            self._kept.forget_old(now_ns())

    def close(self) -> None:
        """Releases the locks; may be called twice."""
        self._freeing.shutdown()
        for path in [*self._growing]:
            self._growing.pop(path).close()

    def _take_over(self, path: Path) -> None:
        """Registers an existing file if it is a recording that no process is writing."""
        with suppress(OSError):
            if path.is_symlink() or not path.is_file() or not was_recorded(path):
                return
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not was_finished(path):
                    times = path.stat()
                    if not keep_whole_fragments(path):
                        self._removed(str(path))
                        path.parent.rmdir()
                        return
                    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # keep its age
                self._add(path)

    def _add(self, path: Path) -> None:
        about = path.stat()
        self._kept.add(path, about.st_mtime_ns, about.st_blocks * 512)

    def _remove(self, path: Path) -> None:
        with suppress(OSError), path.open("rb") as file:
            path.unlink()
            if not self._needs_room:  # freeing a large file is slow
                self._freeing.submit(os.close, os.dup(file.fileno()))
            self._removed(str(path))
            path.parent.rmdir()  # if the run's folder is empty


def _make_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        with suppress(OSError):  # recreated by the recorder; a failed run leaves no empty folder
            folder.rmdir()
    except OSError as error:
        raise WorkerError(
            f"{folder}: can't write videos there: {error.strerror}; choose another folder with run.output_dir"
        ) from error
