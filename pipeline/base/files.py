"""Atomic writes, and the cache folder."""

import os
import secrets
from pathlib import Path

PARTIAL = ".partial"
"""Suffix of a file that is still being written; a killed process leaves one behind."""


def cache_folder() -> Path | None:
    """The folder ``kvq-stream`` in ``$XDG_CACHE_HOME`` or ``~/.cache``; None if there is no home folder."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (base if base.is_absolute() else Path.home() / ".cache") / "kvq-stream"
    except RuntimeError:
        return None


def write_whole(path: Path, data: bytes | str, *, sync: bool = False, mode: int = 0o666) -> None:
    """Writes a file atomically: a reader sees either the old content or the new.

    Args:
        path: Path of the file; its folder must exist.
        data: The content; text is written as UTF-8.
        sync: Whether the file must survive a power failure right after this call.
        mode: Permissions of the file, before the umask.

    Raises:
        OSError: The file can't be written; an existing file is unchanged.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123
            file.write(data.encode() if isinstance(data, str) else data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if sync:
        sync_to_disk(path.parent)


def sync_to_disk(path: Path) -> None:
    """Flushes a file, or the entries of a folder, to disk, so that they survive a power failure.

    Raises:
        OSError: The disk is full or broken.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
