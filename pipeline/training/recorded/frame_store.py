"""Stores the decoded frames of a data set in memory, and above a limit in a temporary file."""

import contextlib
import tempfile
from types import TracebackType
from typing import IO, Self, TypeAlias

import numpy as np
import numpy.typing as npt

Square: TypeAlias = npt.NDArray[np.uint8]
"""A frame at the model's input size, ``(size, size, 3)`` uint8 RGB."""


class FrameStore:
    """Frames of one size, numbered in order of addition; add them inside ``with``, read them after it.

    Frames above the memory limit go to an unnamed file in the folder for temporary files, which the system
    removes when the process ends.

    Attributes:
        size_px: Rows and columns of each frame.
    """

    def __init__(self, size_px: int, memory_mb: int) -> None:
        """Starts empty.

        Args:
            size_px: Rows and columns of each frame.
            memory_mb: Memory limit for frames, in MiB; 0 puts all frames in the file.
        """
        self.size_px = size_px
        self._most_in_memory = memory_mb * 2**20 // (size_px * size_px * 3)
        self._in_memory: list[Square] = []
        self._in_file_count = 0
        self._file: IO[bytes] | None = None
        self._mapped: Square | None = None

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._in_memory) + self._in_file_count

    @property
    def file_mb(self) -> float:
        """Size of the frames in the file, in MiB."""
        return self._in_file_count * self.size_px**2 * 3 / 2**20

    def add(self, frame: Square) -> int:
        """Adds a frame, without copying it, and returns its number.

        Raises:
            ValueError: No space is left.
        """
        if len(self._in_memory) < self._most_in_memory:
            self._in_memory.append(frame)
        else:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __exit__)
            try:
                self._file.write(frame.data)
                self._file.flush()
            except OSError as error:
                raise ValueError(
                    f"no space for {self.file_mb:.0f} MB of decoded frames in {tempfile.gettempdir()} "
                    f"({error.strerror}): set TMPDIR to a folder on a larger disk, or use fewer clips"
                ) from None
            self._in_file_count += 1
        return len(self) - 1

    def __getitem__(self, number: int) -> Square:
        """The frame with this number."""
        if number < len(self._in_memory):
            return self._in_memory[number]
        assert self._mapped is not None, "frames are read after the with block"
        frame: Square = self._mapped[number - len(self._in_memory)]
        return frame

    def __enter__(self) -> Self:
        """Starts adding frames."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends adding; frames can be read from now on."""
        if self._file is None:
            return
        if error is None:
            shape = (self._in_file_count, self.size_px, self.size_px, 3)
            self._mapped = np.memmap(self._file, np.uint8, "r", shape=shape)
        with contextlib.suppress(OSError):  # closing tries again to write data that did not fit
            self._file.close()
