"""Turns off the echo of pressed keys, which would disturb the live display."""

import os
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def without_key_echo() -> Iterator[None]:
    """No key that is pressed within is shown; without a terminal, or in its background, nothing changes.

    A process that is killed or stopped leaves the terminal as it is; most shells put it right, and so does
    ``stty echo``.
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
    """Whether this process may change its terminal: one in the background is stopped if it tries to."""
    try:
        return sys.stdin is not None and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):  # no terminal, or closed
        return False
