"""Files of a training run, written atomically and read back with readable errors."""

import errno
import io
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pipeline.base.errors import UserError
from pipeline.base.files import PARTIAL, write_whole

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Writes tensors and plain values; an existing file is replaced atomically.

    Raises:
        OSError: The file can't be written.
    """
    for unfinished in path.parent.glob(f".{path.name}.*{PARTIAL}"):  # left by a process that was killed
        unfinished.unlink(missing_ok=True)
    data = io.BytesIO()
    torch.save(state, data)
    write_whole(path, data.getvalue(), sync=True)


def read_state(path: Path, device: torch.device) -> dict[str, Any]:
    """Reads what `write_state` wrote; nothing in the file is executed.

    Raises:
        ValueError: The file is missing or damaged.
    """
    if not path.is_file():
        raise ValueError(f"nothing to resume: there is no {path}")
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError):
        raise ValueError(f"cannot resume {path}: it is damaged, or not the state of a training run") from None
    return state


@contextmanager
def full_disk_explained(last: Path) -> Iterator[None]:
    """Turns a full-disk error into one line with the state of the run and what to do.

    Args:
        last: The state to resume from.

    Raises:
        UserError: No space is left.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        kept = (
            f"{last} is complete; free some space, then continue with --resume"
            if last.is_file()
            else "free some space first"
        )
        raise UserError(f"no space left for the files of this run ({error.strerror}): {kept}") from None


def flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """Flattens nested tables to dotted keys such as ``model.depth``."""
    result: dict[str, Any] = {}
    for key, value in table.items():
        inner = flat(value) if isinstance(value, Mapping) else None
        result |= {key: value} if inner is None else {f"{key}.{name}": x for name, x in inner.items()}
    return result
