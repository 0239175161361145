"""Predictions as JSON lines: one object a line, written as soon as it is there."""

from io import FileIO
from pathlib import Path

import msgspec

from pipeline.base.closing import Closing
from pipeline.base.errors import ViewError, reason
from pipeline.wire.messages import Prediction


class PredictionWriterError(ViewError):
    """The file of predictions can't be written (any more)."""


class _Line(msgspec.Struct, frozen=True):
    stream_id: str
    epoch: int
    seq: int
    capture_ns: int
    depth: int
    top: list[tuple[str, float]]


class PredictionWriter(Closing):
    """Writes ``{"stream_id", "epoch", "seq", "capture_ns", "depth", "top": [[label, score], ...]}`` lines.

    Attributes:
        path: The file.
        made_folder: The outermost folder that had to be made for it; None if its folder was there.
    """

    def __init__(self, path: str | Path, *, append: bool = False, stdout: int | None = None) -> None:
        """Opens the file and its folder; what was there is overwritten, unless ``append``.

        Args:
            path: The file.
            append: Keep what is in it.
            stdout: Descriptor to write to instead: ``path`` is ``-``, for standard output.

        Raises:
            PredictionWriterError: It can't be opened.
        """
        self.path = Path(path)
        self.made_folder = missing_folder(self.path)
        if stdout is not None:
            self._file = FileIO(stdout, "wb", closefd=False)
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: each line is one write, so that a killed process leaves whole lines.
            self._file = self.path.open("ab" if append else "wb", buffering=0)
        except OSError as error:
            raise PredictionWriterError(f"{self.path}: can't be written: {reason(error)}") from None

    @property
    def closed(self) -> bool:
        """Whether nothing more is written: after ``close`` or an error."""
        return self._file.closed

    def write(self, prediction: Prediction) -> None:
        """Adds a line; does nothing once closed.

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
        )
        data = msgspec.json.encode(line) + b"\n"
        try:
            if self._file.write(data) != len(data):
                raise OSError(None, "no space left on device")
        except OSError as error:
            self.close()
            raise PredictionWriterError(f"{self.path}: can't be written: {reason(error)}") from None

    def close(self) -> None:
        """Closes the file; may be called twice."""
        self._file.close()


def missing_folder(path: Path) -> Path | None:
    """The outermost folder that has to be made before a file can be written; None if all are there."""
    missing = [folder for folder in path.parents if not folder.exists()]
    return missing[-1] if missing else None
