"""The private folder of one run: sockets of its workers, and a lock that tells whether it is alive."""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from pipeline.base.config import Config
from pipeline.base.errors import ConfigError

_PLACEHOLDER = "{run}"
_LOCK = "lock"
_SHARED = "shared"


def base_folder() -> Path:
    """Where this user's runs keep their folders; nobody else can enter it.

    Raises:
        ConfigError: The folder belongs to somebody else.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = (
        Path(runtime) / "kvq-stream" if runtime else Path(tempfile.gettempdir()) / f"kvq-stream-{os.getuid()}"
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder.stat()
    if about.st_uid != os.getuid() or stat.S_IMODE(about.st_mode) & 0o077:
        raise ConfigError(
            f"{folder} is open to other users: remove it, or set XDG_RUNTIME_DIR to a private folder"
        )
    return folder


class RunFolder:
    """A folder that lives as long as the run; folders of runs that were killed are removed on the way."""

    def __init__(self) -> None:
        base = base_folder()
        with _locked(base):  # nobody may take a folder for dead while it is made
            for stale in base.glob("run-*"):
                if not _is_alive(stale):
                    shutil.rmtree(stale, ignore_errors=True)
            self.path = Path(tempfile.mkdtemp(prefix=f"run-{os.getpid()}-", dir=base))
            self._lock = (self.path / _LOCK).open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def shared_folder() -> Path:
    """Where workers that are started one by one, without a configuration of endpoints, meet."""
    folder = base_folder() / _SHARED
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def newest_live_folder() -> Path:
    """The folder of the newest run that is alive; the shared one if there is none."""
    alive = [folder for folder in base_folder().glob("run-*") if _is_alive(folder)]
    return max(alive, key=_made_at, default=None) or shared_folder()


def place_endpoints(config: Config, folder: Path) -> Config:
    """The configuration with ``{run}`` in its endpoints replaced by ``folder``."""
    endpoints = {
        name: [text.replace(_PLACEHOLDER, str(folder)) for text in texts]
        for name, texts in msgspec.structs.asdict(config.endpoints).items()
    }
    return msgspec.structs.replace(config, endpoints=msgspec.structs.replace(config.endpoints, **endpoints))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_alive(folder: Path) -> bool:
    """Whether a process still holds the folder's lock."""
    try:
        with (folder / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _made_at(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:  # it has just ended
        return 0.0
