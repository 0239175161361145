"""Predictions as JSON lines: one object a line, written at once."""

import os
import stat
from io import FileIO
from pathlib import Path
from typing import Any

import msgspec

from pipeline.base.camera_velocity import CameraMotion
from pipeline.base.closing import Closing
from pipeline.base.errors import ViewError
from pipeline.base.moving_thing import Thing
from pipeline.base.redact import reason
from pipeline.wire.messages import Prediction

STDOUT = "-"
"""The name of standard output where a file may be given."""

_LONGEST_LINE = 1 << 20  # bytes
_OF_EARLIER_LINES = ("trail", "was")


class PredictionWriterError(ViewError):
    """The file of predictions can't be written (any more)."""


class _Line(msgspec.Struct, frozen=True):
    stream_id: str
    epoch: int
    seq: int
    capture_ns: int
    depth: int
    top: list[tuple[str, float]]
    things: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET
    camera: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET


class PredictionWriter(Closing):
    """Writes ``{"stream_id", "epoch", "seq", "capture_ns", "depth", "top": [[label, score], ...]}`` lines.

    A network with dense motion adds ``"things"`` and ``"camera"``, see ``Thing`` and ``CameraMotion``. Where
    things were is in the lines before.

    Whatever happens, a file ends with a whole line.

    Attributes:
        path: The file; ``-`` is standard output.
        made_folder: The outermost folder that had to be made for it; None if its folder was there.
    """

    def __init__(self, path: str | Path, *, append: bool = False, stdout: int | None = None) -> None:
        """Opens the file and its folder; what was there is overwritten, unless ``append``.

        Args:
            path: The file.
            append: Go on after the last whole line.
            stdout: Descriptor to write to instead, which stays open: ``path`` is ``-``, for standard output.

        Raises:
            PredictionWriterError: It can't be opened.
        """
        self.path = Path(path)
        self.made_folder: Path | None = None
        if stdout is not None:
            self._file = FileIO(stdout, "wb", closefd=False)
            return
        # Unbuffered: each line is written at once, so that a killed process leaves whole lines.
        try:
            self.made_folder = missing_folder(self.path)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if append and self.path.is_file():
                _cut_to_whole_lines(self.path)
            self._file = self.path.open("ab" if append else "wb", buffering=0)
        except OSError as error:
            raise self._failed(error) from None

    @property
    def closed(self) -> bool:
        """Whether nothing more is written: after ``close``, an error, or when a pipe's reader has gone."""
        return self._file.closed

    def write(self, prediction: Prediction) -> None:
        """Adds a line; does nothing once closed. A closed pipe is no error: it closes the writer.

        Raises:
            PredictionWriterError: The disk is full, for example. The file is then closed.
        """
        if self._file.closed:
            return
        line = _Line(
            prediction.stream_id,
            prediction.epoch,
            prediction.seq,
            prediction.capture_ns,
            prediction.depth,
            [(label, round(score, 6)) for label, score in prediction.top],
            *_scene(prediction),
        )
        data = msgspec.json.encode(line) + b"\n"
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file.fileno(), data[written:])
        except BrokenPipeError:
            self.close()
        except OSError as error:
            if written:
                _take_back(self._file, written)
            self.close()
            raise self._failed(error) from None

    def close(self) -> None:
        """Closes the file; may be called twice."""
        self._file.close()

    def _failed(self, error: OSError) -> PredictionWriterError:
        name = "standard output" if str(self.path) == STDOUT else self.path
        return PredictionWriterError(f"{name}: can't be written: {reason(error)}")


def _scene(prediction: Prediction) -> tuple[Any, Any]:
    """Things and camera, with as many digits as mean anything."""
    if prediction.things is None:
        return msgspec.UNSET, msgspec.UNSET
    things = [_rounded(thing) for thing in prediction.things]
    return things, _rounded(prediction.camera) if prediction.camera else None


def _rounded(struct: Thing | CameraMotion) -> dict[str, Any]:
    def short(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [short(one) for one in value]
        return round(value, 4) if isinstance(value, float) else value

    fields = msgspec.to_builtins(struct)
    return {name: short(value) for name, value in fields.items() if name not in _OF_EARLIER_LINES}


def _take_back(file: FileIO, count: int) -> None:
    """Removes the last ``count`` bytes of a file; a pipe or device keeps what it got."""
    status = os.fstat(file.fileno())
    if stat.S_ISREG(status.st_mode):
        os.ftruncate(file.fileno(), status.st_size - count)


def _cut_to_whole_lines(path: Path) -> None:
    """Removes what follows the last line break: half a line of a process that was killed."""
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LONGEST_LINE))
        _, newline, rest = file.read().rpartition(b"\n")
        if newline or size <= _LONGEST_LINE:
            file.truncate(size - len(rest))


def missing_folder(path: Path) -> Path | None:
    """The outermost folder that has to be made before a file can be written; None if all are there."""
    missing = [folder for folder in path.parents if not folder.exists()]
    return missing[-1] if missing else None
