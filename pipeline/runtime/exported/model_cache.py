"""Caches compiled models on disk, so that only the first start compiles.

The name of a file is a digest of its inputs: the checkpoint's content, the network's code, versions and the
processor; for int8 also the code that draws the calibration clips. The file itself starts with a digest of
the rest of its content, so a damaged file is detected and rebuilt.
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
"""Packages whose code determines the step."""


def code_digest(*places: str) -> str:
    """Digest of code in this package: of files and whole folders; nothing is imported.

    Raises:
        FileNotFoundError: A place does not exist; without this, a moved file would be silently ignored.
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
    """Files of a model compiled for several image sizes.

    Without a readable and writable folder, nothing is cached.

    Args:
        checkpoint: The checkpoint's file.
        versions: Names and versions of everything that compiles and runs it, the backend first.
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
        """Whether the checkpoint's file is unchanged since this object was created."""
        return hashlib.sha256(self._checkpoint.read_bytes()).digest() == self._content.digest()

    def load(self, size: Size) -> list[bytes] | None:
        """The stored parts; None if nothing is stored or the file is damaged."""
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
            path.touch()  # the most recently used files are kept
        return _unpack(data)

    def store(self, size: Size, parts: Sequence[bytes]) -> str | None:
        """Stores atomically, and deletes the least recently used models.

        Returns:
            The reason if it could not be stored; otherwise None.
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
    """Concatenates the parts, each preceded by its length."""
    return b"".join(piece for part in parts for piece in (len(part).to_bytes(_LENGTH), part))


def _unpack(data: bytes) -> list[bytes]:
    parts, start = [], 0
    while start < len(data):
        end = start + _LENGTH + int.from_bytes(data[start : start + _LENGTH])
        parts.append(data[start + _LENGTH : end])
        start = end
    return parts


def _tidy(folder: Path) -> None:
    """Keeps the most recently used models; deletes the others and partial files of killed processes."""
    by_age = sorted(folder.glob(f"*{_MODEL}"), key=lambda path: path.stat().st_mtime, reverse=True)
    begun = [path for path in folder.glob(f"*{PARTIAL}") if time.time() - path.stat().st_mtime > _STALE_S]
    for path in [*by_age[_KEPT:], *begun]:
        path.unlink(missing_ok=True)


def _processor() -> str:
    """What compiled code may depend on: architecture, processor and instruction sets."""
    info = Path("/proc/cpuinfo")
    first = info.read_text(errors="replace").partition("\n\n")[0] if info.exists() else platform.processor()
    wanted = ("model name", "flags", "Features", "CPU part")
    lines = [line for line in first.splitlines() if line.startswith(wanted)] or [first]
    return "\n".join([platform.machine(), *lines])
