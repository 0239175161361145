"""Determines the format of an export, before torch is loaded."""

from pathlib import Path

from pipeline.base.packages import need_extra
from pipeline.model.shipped import find_checkpoint, read_header

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}
"""By format, which is also the name of the extra that it needs."""


class ExportError(ValueError):
    """An export that can't be made, or that does not compute what the model does; one readable line."""


def pick_format(out: Path, kind: str | None = None, *, int8: bool = False) -> str:
    """The format of an export: ``onnx`` or ``openvino``.

    Args:
        out: The file to write.
        kind: The format, if the user named it; None goes by the suffix of ``out``.
        int8: Whether it is to be quantised.

    Raises:
        ExportError: They don't fit.
    """
    kind = kind or next((name for name, suffix in SUFFIXES.items() if suffix == out.suffix), None)
    if kind not in SUFFIXES:
        raise ExportError(f"{out}: give --format, {' or '.join(SUFFIXES)}")
    if out.suffix != SUFFIXES[kind]:
        raise ExportError(f"{out}: a file of format {kind} ends in {SUFFIXES[kind]}")
    if int8 and kind != "openvino":
        raise ExportError("int8 is for --format openvino")
    return kind


def check_export(checkpoint: str | Path, out: Path, kind: str | None = None, *, int8: bool = False) -> None:
    """Checks everything that can be known of an export before it begins.

    Raises:
        ExportError: File and format don't fit.
        CheckpointError: No such checkpoint.
        MissingPackageError: What writes or runs the file is not installed.
    """
    kind = pick_format(out, kind, int8=int8)
    read_header(find_checkpoint(checkpoint))
    need_extra("int8" if int8 else kind)
