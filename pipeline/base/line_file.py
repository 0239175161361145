"""Files of JSON lines, each written whole and flushed at once."""

import os
import stat
from io import FileIO
from pathlib import Path

from pipeline.base.closing import Closing
from pipeline.base.errors import OutputError
from pipeline.base.redact import reason

STDOUT = "-"
"""The name of standard output where a file may be given."""

_LONGEST_LINE = 1 << 20  # bytes


class LineFileError(OutputError):
    """The file can't be written (any more)."""


class LineFile(Closing):
    """Whatever happens, the file ends with a whole line.

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
            LineFileError: It can't be opened.
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

    def write(self, line: bytes) -> None:
        """Adds a line; does nothing once closed. A closed pipe is no error: it closes the file.

        Args:
            line: Without the line break.

        Raises:
            LineFileError: The disk is full, for example. The file is then closed.
        """
        if self._file.closed:
            return
        data, written = line + b"\n", 0
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

    def _failed(self, error: OSError) -> LineFileError:
        name = "standard output" if str(self.path) == STDOUT else self.path
        return LineFileError(f"{name}: can't be written: {reason(error)}")


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
