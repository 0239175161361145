"""Requirements of tests; if one is missing, the test names the package and is skipped, or fails in CI."""

import contextlib
import gzip
import importlib.util
import os
import random
import resource
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest

T = TypeVar("T")


def without(reason: str) -> NoReturn:
    """Skips the test with this reason; in CI, fails it."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason, allow_module_level=True)


def missing(what: str, package: str) -> NoReturn:
    """Skips the test because something is not installed; in CI, fails it."""
    without(f"{what} not found: install {package}")


def need_command(command: str, package: str) -> str:
    """Path of a required program; ``package`` is the Debian package that contains it."""
    path = shutil.which(command)
    return path if path else missing(command, f"Debian's {package}")


def need_module(module: str, package: str) -> None:
    """Requires an importable Python module; ``package`` is its package on PyPI."""
    if importlib.util.find_spec(module) is None:
        missing(f"Python module {module}", f"{package} (pip install '.[test]')")


def need_file(path: str | Path, package: str) -> Path:
    """Path of a required file; ``package`` is the Debian package that contains it."""
    path = Path(path)
    return path if path.exists() else missing(str(path), f"Debian's {package}")


def people_walking() -> Path:
    """A surveillance clip of people walking: fixed camera, 768x576, 10 fps, 795 frames."""
    return need_file("/usr/share/doc/opencv-doc/examples/data/vtest.avi", "opencv-doc")


def hand_held(folder: Path) -> Path:
    """A hand-held clip of a box on a table, unpacked into ``folder``."""
    packed = need_file("/usr/share/doc/opencv-doc/opencv4/html/box.mp4.gz", "opencv-doc")
    clip = folder / "box.mp4"
    if not clip.exists():
        clip.write_bytes(gzip.decompress(packed.read_bytes()))
    return clip


def named_shared_memory() -> set[str]:
    """Names in /dev/shm of shared memory that was created by Python, torch or this project."""
    names = {path.name for path in Path("/dev/shm").iterdir()}
    return {name for name in names if name.startswith(("psm_", "torch_", "kvq"))}


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A free port, below those that the system assigns, since another test may request one of those."""
    while True:
        port = random.SystemRandom().randrange(
            15_000, 32_000
        )  # the default generator has the same seed in all test processes
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, kind) as probe:
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def files_up_to(limit: int) -> Iterator[None]:
    """Limits files that this process writes to ``limit`` bytes, as on a disk that is nearly full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def fill_disk(folder: Path) -> Path:
    """Fills a small disk completely; returns the file to delete to free the space again."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler


def until(
    condition: Callable[[], T], what: str, timeout_s: float = 20.0, told: Callable[[], str] = lambda: ""
) -> T:
    """Waits until a condition is true and returns its value; fails with ``what`` if it is not in time."""
    deadline_s = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline_s, f"never happened: {what} {told()}"
        time.sleep(0.005)
    return value
