"""Standard output that may close early: a pipe such as ``| head``, or a closed terminal."""

import contextlib
import io
import os
import sys
from typing import IO, cast

from rich.console import Console

_STDIN, _STDOUT, _STDERR = range(3)


class OutputConsole(Console):
    """A console on standard output; once nobody reads that any more, what is printed goes nowhere."""

    def __init__(self) -> None:
        self._output = _Output()
        super().__init__(file=cast(IO[str], self._output))

    @property
    def lost(self) -> bool:
        """Whether nobody reads standard output any more."""
        return self._output.lost


class _Nowhere(io.TextIOBase):
    """Instead of standard output that a shell has closed."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        return len(text)

    def isatty(self) -> bool:
        return False


class _Output:
    """As much of standard output as a console uses; it never fails."""

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
    """Opens what a shell has closed (``>&-``) on nothing; else sockets would get these numbers.

    To be called before anything is opened.
    """
    for descriptor in (_STDIN, _STDOUT, _STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            os.set_inheritable(opened, True)


def print_line(text: str) -> bool:
    """Prints a line at once.

    Returns:
        False if nobody reads it any more. Whatever is printed afterwards goes nowhere, so that a program
        can end in order.
    """
    try:
        print(text, flush=True)
    except OSError:
        discard_output()
        return False
    return True


def discard_output() -> None:
    """Sends standard output nowhere from now on, and standard error too if that went to the same place."""
    outputs = [_STDOUT]
    with contextlib.suppress(OSError):
        if os.path.sameopenfile(_STDOUT, _STDERR):
            outputs.append(_STDERR)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in outputs:
        os.dup2(nowhere, output)
    os.close(nowhere)
