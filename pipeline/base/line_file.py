"""JSON Lines files; each line is written completely and without buffering."""

import os
import stat
from io import FileIO
from pathlib import Path

from pipeline.base.closing import Closing
from pipeline.base.errors import OutputError
from pipeline.base.redact import reason

STDOUT = "-"
"""File name that stands for standard output."""

_LONGEST_LINE = 1 << 20  # bytes


class LineFileError(OutputError):
    """The file can't be opened or written."""


class LineFile(Closing):
    """A file that always ends with a complete line, even after an error or a kill.

    Attributes:
        path: The file; ``-`` is standard output.
        made_folder: The outermost folder that was created for it; None if its folder existed.
    """

    def __init__(self, path: str | Path, *, append: bool = False, stdout: int | None = None) -> None:
        """Opens the file and creates its folder; overwrites existing content unless ``append``.

        Args:
            path: The file.
            append: Whether to continue after the last complete line.
            stdout: Descriptor to write to instead; it is not closed. ``path`` is then ``-``.

        Raises:
            LineFileError: It can't be opened.
        """
        self.path = Path(path)
        self.made_folder: Path | None = None
        if stdout is not None:
            self._file = FileIO(stdout, "wb", closefd=False)
            return
        # Unbuffered, so that a killed process leaves complete lines.
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
        """Whether the file is closed: after ``close``, an error, or when the pipe's reader has exited."""
        return self._file.closed

    def write(self, line: bytes) -> None:
        """Appends a line; does nothing once closed. A broken pipe closes the file without an error.

        Args:
            line: Without the line break.

        Raises:
            LineFileError: The write failed, for example on a full disk. The file is then closed.
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
        """Closes the file; idempotent."""
        self._file.close()

    def _failed(self, error: OSError) -> LineFileError:
        name = "standard output" if str(self.path) == STDOUT else self.path
        return LineFileError(f"{name}: can't be written: {reason(error)}")


def _take_back(file: FileIO, count: int) -> None:
    """Removes the last ``count`` bytes of a regular file; pipes and devices are left alone."""
    status = os.fstat(file.fileno())
    if stat.S_ISREG(status.st_mode):
        os.ftruncate(file.fileno(), status.st_size - count)


def _cut_to_whole_lines(path: Path) -> None:
    """Removes an incomplete last line, left by a killed process."""
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LONGEST_LINE))
        _, newline, rest = file.read().rpartition(b"\n")
        if newline or size <= _LONGEST_LINE:
            file.truncate(size - len(rest))


def missing_folder(path: Path) -> Path | None:
    """The outermost missing parent folder of a file; None if all exist."""
    missing = [folder for folder in path.parents if not folder.exists()]
    return missing[-1] if missing else None
