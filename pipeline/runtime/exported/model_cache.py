"""Caches compiled models on disk, so that only the first start compiles.

A file is named by what it was made from: the checkpoint's content, the code of the network, versions
and the processor; in int8 also what draws the clips that it is calibrated on. It starts with a digest
of the rest, so a damaged file is noticed and made again.
"""

import hashlib
import platform
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.base.files import PARTIAL, cache_folder, write_whole
from pipeline.base.packages import package_version
from pipeline.model.preprocessing import Size

_KEPT, _STALE_S = 8, 3600.0
_MODEL = ".model"
_SEAL = hashlib.sha256().digest_size
_LENGTH = 8  # bytes of a number, big-endian
_CODE = Path(__file__).parents[2]
ROOMS = ("model", "runtime")
"""Whose code the step is made by."""


def code_digest(*places: str) -> str:
    """Digest of code in this package: of files, and of all that lie in folders; nothing is imported.

    Raises:
        FileNotFoundError: A place that is none; after a move, the digest would stand for nothing.
    """
    digest = hashlib.sha256()
    for place in places:
        path = _CODE / place
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        if not files:
            raise FileNotFoundError(f"{path}: no code in this folder")
        for file in files:
            digest.update(file.read_bytes())
    return digest.hexdigest()


class CachedModel:
    """The places on disk of a model compiled for sizes of pictures.

    Without a readable or writable folder there is no caching.

    Args:
        checkpoint: The file that the model comes from.
        versions: Names and versions of what compiles and runs it, the backend first.
        folder: None for ``cache_folder()``.
    """

    def __init__(self, checkpoint: Path, versions: Sequence[str], folder: Path | None = None) -> None:
        self._checkpoint, self._content = checkpoint, hashlib.sha256(checkpoint.read_bytes())
        digest = self._content.copy()
        made_by = [code_digest(*ROOMS), package_version("torch"), *versions, _processor()]
        digest.update("\n".join(made_by).encode())
        self._folder = folder or cache_folder()
        self._name = f"{versions[0].split()[0]}-{digest.hexdigest()[:32]}"

    def is_current(self) -> bool:
        """Whether the checkpoint still is the file that the name was made from."""
        return hashlib.sha256(self._checkpoint.read_bytes()).digest() == self._content.digest()

    def load(self, size: Size) -> list[bytes] | None:
        """The parts that were stored; None if there is nothing, or nothing sound."""
        if self._folder is None:
            return None
        path = self._path(self._folder, size)
        try:
            with path.open("rb") as file:
                seal, data = file.read(_SEAL), file.read()
        except OSError:
            return None
        if hashlib.sha256(data).digest() != seal:
            return None
        with suppress(OSError):
            path.touch()  # the files used last are those that are kept
        return _unpack(data)

    def store(self, size: Size, parts: Sequence[bytes]) -> str | None:
        """Stores in one go or not at all, and forgets the models that were not used for longest.

        Returns:
            Where it could not be stored, why; else None.
        """
        if self._folder is None:
            return "there is no home folder; set XDG_CACHE_HOME"
        data = _pack(parts)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._path(self._folder, size), hashlib.sha256(data).digest() + data, mode=0o600)
        except OSError as error:
            return f"{self._folder}: {error.strerror or error}"
        with suppress(OSError):
            _tidy(self._folder)
        return None

    def _path(self, folder: Path, size: Size) -> Path:
        rows, columns = size
        return folder / f"{self._name}-{columns}x{rows}{_MODEL}"


def _pack(parts: Sequence[bytes]) -> bytes:
    """Each part after its length."""
    return b"".join(piece for part in parts for piece in (len(part).to_bytes(_LENGTH), part))


def _unpack(data: bytes) -> list[bytes]:
    parts, start = [], 0
    while start < len(data):
        end = start + _LENGTH + int.from_bytes(data[start : start + _LENGTH])
        parts.append(data[start + _LENGTH : end])
        start = end
    return parts


def _tidy(folder: Path) -> None:
    """Keeps the models used last, and nothing that a killed process began to write."""
    by_age = sorted(folder.glob(f"*{_MODEL}"), key=lambda path: path.stat().st_mtime, reverse=True)
    begun = [path for path in folder.glob(f"*{PARTIAL}") if time.time() - path.stat().st_mtime > _STALE_S]
    for path in [*by_age[_KEPT:], *begun]:
        path.unlink(missing_ok=True)


def _processor() -> str:
    """What code may be compiled for: the architecture, the processor and its instruction sets."""
    info = Path("/proc/cpuinfo")
    first = info.read_text(errors="replace").partition("\n\n")[0] if info.exists() else platform.processor()
    wanted = ("model name", "flags", "Features", "CPU part")
    lines = [line for line in first.splitlines() if line.startswith(wanted)] or [first]
    return "\n".join([platform.machine(), *lines])
