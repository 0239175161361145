"""Lock files that keep two processes from writing to the same place."""

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

_LOCKS = Path("/proc/locks")


class HeldError(Exception):
    """Another process holds the lock.

    Attributes:
        pid: Its process id; None if unknown.
    """

    def __init__(self, pid: int | None) -> None:
        super().__init__(pid)
        self.pid = pid

    @property
    def by(self) -> str:
        """The process id as text for a message, such as `` (pid 123)``; empty if unknown."""
        return f" (pid {self.pid})" if self.pid else ""


def hold(path: Path) -> FileLock:
    """Locks a file, which is created if missing, until ``release``.

    Raises:
        HeldError: Another process has locked it.
        OSError: The file can't be created.
    """
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise HeldError(_holder(path)) from None
    return lock


def check_free(path: Path) -> None:
    """Checks that no process has locked a file; does not create it.

    Raises:
        HeldError: A process has locked it.
    """
    if path.exists():
        with suppress(OSError):  # reported by ``hold``
            hold(path).release()


def _holder(path: Path) -> int | None:
    """Id of the process that has locked a file, according to the kernel; None if unknown."""
    with suppress(OSError):
        about = path.stat()
        for line in _LOCKS.read_text().splitlines():
            _, kind, *_, pid, place, _, _ = line.split()  # 1: FLOCK ADVISORY WRITE 123 08:01:456 0 EOF
            if kind == "FLOCK" and place.endswith(f":{about.st_ino}") and _has_open(pid, about):
                return int(pid)
    return None


def _has_open(pid: str, about: os.stat_result) -> bool:
    """Whether a process has this file open; needed because an inode number alone is not unique."""
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if os.path.samestat(descriptor.stat(), about):
                    return True
    return False
