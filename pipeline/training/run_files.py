"""Files of a run that outlive it: written whole or not at all, and read back with readable errors."""

import errno
import os
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from pipeline.base.errors import UserError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Writes tensors and plain values; an existing file is replaced in one go or not at all.

    Raises:
        OSError: the file can't be written.
    """
    unfinished = path.with_name(f"{path.name}.tmp")
    try:
        with unfinished.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except RuntimeError as error:
        # torch reports a failed write in words of its own, on top of what the system said
        unfinished.unlink(missing_ok=True)
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def read_state(path: Path, device: torch.device) -> dict[str, Any]:
    """Reads what `write_state` wrote; nothing in the file is executed.

    Raises:
        ValueError: there is no such file, or it is damaged.
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
    """Says what is safe and what to do when a file of the run does not fit on the disk.

    Args:
        last: the state from which the run can go on.

    Raises:
        UserError: no space is left.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        number = error.errno if isinstance(error, OSError) else _system_error(str(error))
        if number not in _FULL:
            raise
        for unfinished in last.parent.glob(".*.safetensors.*"):
            unfinished.unlink(missing_ok=True)
        kept = (
            f"{last} is whole; free some space, then go on with --resume"
            if last.is_file()
            else "free some space first"
        )
        raise UserError(f"no space left for the files of this run ({os.strerror(number)}): {kept}") from None


def _system_error(text: str) -> int:
    found = re.search(r"os error (\d+)", text)
    return int(found[1]) if found else 0
