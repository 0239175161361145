"""Finds the file of a checkpoint by name and validates it without torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open

from pipeline.base.program import PROGRAM

FORMAT = "kvq-stream checkpoint 1"
_SHIPPED = Path(__file__).parent / "weights"


class CheckpointError(ValueError):
    """A checkpoint can't be used; the message is one readable line."""


def with_remedy(error: CheckpointError, option: str) -> str:
    """The message of an error, followed by the values that an option or key for a checkpoint accepts."""
    return f"{error}; {option} takes the name of a shipped checkpoint or a file written by `{PROGRAM} train`"


@contextmanager
def checkpoint_named_by(option: str) -> Iterator[None]:
    """Adds the values that ``option`` accepts to the message of a checkpoint error.

    Raises:
        CheckpointError: The original error with the longer message.
    """
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(with_remedy(error, option)) from error


def find_checkpoint(name: str | Path) -> Path:
    """Resolves a path, or the name of a shipped checkpoint, to a file.

    Raises:
        CheckpointError: Neither exists.
    """
    path = Path(name)
    if path.is_file():
        return path
    if path.suffix or len(path.parts) > 1:
        raise CheckpointError(f"{path}: no such file")
    return shipped(str(name))


def shipped(name: str) -> Path:
    """The file of a checkpoint that comes with the package.

    Raises:
        CheckpointError: No checkpoint has this name; the message lists the names.
    """
    names = sorted(path.stem for path in _SHIPPED.glob("*.safetensors"))
    if name not in names:
        raise CheckpointError(f"no checkpoint {name!r}; available: {', '.join(names) or 'none'}")
    return _SHIPPED / f"{name}.safetensors"


def read_header(path: Path) -> dict[str, str]:
    """The metadata of a checkpoint.

    Raises:
        CheckpointError: The file can't be read, or is not a checkpoint of this program.
    """
    try:
        with safe_open(path, framework="np") as file:
            header: dict[str, str] = file.metadata() or {}
    except SafetensorError:
        raise CheckpointError(f"{path}: not a safetensors file, or damaged") from None
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read: {error.strerror or error}") from None
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: not a checkpoint of this program (format {header.get('format', 'none')})"
        )
    return header
