"""Standard output that may be closed early, such as a pipe to ``head`` or a closed terminal."""

import contextlib
import io
import os
import sys
from collections.abc import Iterable
from typing import IO, cast

from rich.console import Console

_STDIN, _STDOUT, _STDERR = range(3)


class OutputConsole(Console):
    """A console on standard output; once that is closed, output is discarded."""

    def __init__(self) -> None:
        self._output = _Output()
        super().__init__(file=cast(IO[str], self._output))

    @property
    def lost(self) -> bool:
        """Whether standard output has been closed."""
        return self._output.lost


class _Nowhere(io.TextIOBase):
    """Replaces standard output that the shell has closed."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        return len(text)

    def isatty(self) -> bool:
        return False


class _Output:
    """The part of standard output that a console uses; writing never fails."""

    def __init__(self) -> None:
        self.lost = False
        self._stdout = sys.stdout if sys.stdout is not None else _Nowhere()

    @property
    def encoding(self) -> str:
        return self._stdout.encoding

    def isatty(self) -> bool:
        return self._stdout.isatty()

    def fileno(self) -> int:
        return self._stdout.fileno()

    def write(self, text: str) -> int:
        try:
            self._stdout.write(text)
        except OSError:
            self._lose()
        return len(text)

    def flush(self) -> None:
        try:
            self._stdout.flush()
        except OSError:
            self._lose()

    def _lose(self) -> None:
        self.lost = True
        discard_output()


def fill_closed_descriptors() -> None:
    """Opens standard descriptors closed by the shell (``>&-``) on /dev/null, so that no socket takes them.

    Call it before anything else is opened.
    """
    for descriptor in (_STDIN, _STDOUT, _STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
            os.set_inheritable(opened, True)


def print_line(text: str) -> bool:
    """Prints a line and flushes it.

    Returns:
        False if standard output has been closed. Later output is then discarded, so that the program can
        shut down.
    """
    try:
        print(text, flush=True)
    except OSError:
        discard_output()
        return False
    return True


def print_errors(errors: Iterable[str]) -> None:
    """Prints errors to standard error, one line each."""
    for error in errors:
        Console(stderr=True).print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)


def discard_output() -> None:
    """Discards standard output from now on, and standard error if it goes to the same file."""
    outputs = [_STDOUT]
    with contextlib.suppress(OSError):
        if os.path.sameopenfile(_STDOUT, _STDERR):
            outputs.append(_STDERR)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in outputs:
        os.dup2(nowhere, output)
    os.close(nowhere)
