"""Turns off the echo of pressed keys, which would disturb the live display."""

import os
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def without_key_echo() -> Iterator[None]:
    """Turns echo off within the block; does nothing without a terminal or in the background.

    A process that is killed or stopped leaves echo off; most shells restore it, and so does ``stty echo``.
    """
    before = None
    with suppress(termios.error, ValueError):
        before = termios.tcgetattr(sys.stdin) if _in_foreground() else None
    if before is not None:
        after = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, after)
    try:
        yield
    finally:
        if before is not None and _in_foreground():
            with suppress(termios.error):  # the terminal was closed
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _in_foreground() -> bool:
    """Whether this process may change its terminal: a background process would be stopped."""
    try:
        return sys.stdin is not None and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):  # no terminal, or closed
        return False
