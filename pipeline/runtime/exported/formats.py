"""Determines the format of an export, before torch is loaded."""

from pathlib import Path

from pipeline.base.packages import need_extra
from pipeline.model.shipped import find_checkpoint, read_header

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}
"""File suffix by format; the format is also the name of the required extra."""


class ExportError(ValueError):
    """An export that cannot be made or differs from the model; the message is one line."""


def pick_format(out: Path, kind: str | None = None, *, int8: bool = False) -> str:
    """The format of an export: ``onnx`` or ``openvino``.

    Args:
        out: The file to write.
        kind: The format, if the user named it; None chooses by the suffix of ``out``.
        int8: Whether it is to be quantised.

    Raises:
        ExportError: The format is unknown, or does not match the suffix or ``int8``.
    """
    kind = kind or next((name for name, suffix in SUFFIXES.items() if suffix == out.suffix), None)
    if kind not in SUFFIXES:
        raise ExportError(f"{out}: give --format {' or '.join(SUFFIXES)}")
    if out.suffix != SUFFIXES[kind]:
        raise ExportError(f"{out}: a file of format {kind} ends in {SUFFIXES[kind]}")
    if int8 and kind != "openvino":
        raise ExportError("int8 requires --format openvino")
    return kind


def check_export(checkpoint: str | Path, out: Path, kind: str | None = None, *, int8: bool = False) -> None:
    """Checks an export as far as possible before it starts.

    Raises:
        ExportError: File and format do not match.
        CheckpointError: The checkpoint does not exist.
        MissingPackageError: A package that writes or runs the file is not installed.
    """
    kind = pick_format(out, kind, int8=int8)
    read_header(find_checkpoint(checkpoint))
    need_extra("int8" if int8 else kind)
