"""What the tests need from the machine. A test without it skips and names the package; under CI it fails."""

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
    """Skips the test on a user's machine; under CI it has to run."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason, allow_module_level=True)


def missing(what: str, package: str) -> NoReturn:
    """Skips the test, or fails it where everything should have been installed."""
    without(f"{what} not found: install {package}")


def need_command(command: str, package: str) -> str:
    """Path of a program, named with the Debian package that holds it."""
    path = shutil.which(command)
    return path if path else missing(command, f"Debian's {package}")


def need_module(module: str, package: str) -> None:
    """Requires an importable Python package, named with its name on PyPI."""
    if importlib.util.find_spec(module) is None:
        missing(f"Python module {module}", f"{package} (pip install '.[test]')")


def need_file(path: str | Path, package: str) -> Path:
    """Requires a file, named with the Debian package that holds it."""
    path = Path(path)
    return path if path.exists() else missing(str(path), f"Debian's {package}")


def people_walking() -> Path:
    """A surveillance clip: 768x576, 10 fps, 795 frames, a still camera and people walking."""
    return need_file("/usr/share/doc/opencv-doc/examples/data/vtest.avi", "opencv-doc")


def hand_held(folder: Path) -> Path:
    """A hand-held clip of a box on a table, unpacked into ``folder``."""
    packed = need_file("/usr/share/doc/opencv-doc/opencv4/html/box.mp4.gz", "opencv-doc")
    clip = folder / "box.mp4"
    if not clip.exists():
        clip.write_bytes(gzip.decompress(packed.read_bytes()))
    return clip


def named_shared_memory() -> set[str]:
    """Names in /dev/shm as Python or torch would give them; browsers and others have names of their own."""
    names = {path.name for path in Path("/dev/shm").iterdir()}
    return {name for name in names if name.startswith(("psm_", "torch_", "kvq"))}


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that nobody has, below those that the system hands out: another test may ask it for one."""
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)  # the usual one is seeded alike everywhere
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, kind) as probe:
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def files_up_to(limit: int) -> Iterator[None]:
    """Files that this process writes can't grow over ``limit`` bytes, as on a disk that is nearly full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def fill_disk(folder: Path) -> Path:
    """Leaves no block free on a small disk; returns the file to remove to have room again."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler


def until(
    condition: Callable[[], T], what: str, timeout_s: float = 20.0, told: Callable[[], str] = lambda: ""
) -> T:
    """Waits for something that must happen, and returns it; says what did not."""
    deadline_s = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline_s, f"never happened: {what} {told()}"
        time.sleep(0.005)
    return value
