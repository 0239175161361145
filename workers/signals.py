"""What signals do to a program in the foreground: the first one ends it in order, the second at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from workers import exit_codes

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, ``kill``, and a terminal that is closed."""


@contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Inside, the first of ``STOP_SIGNALS`` sets ``stop``; the second ends the process at once."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(exit_codes.INTERRUPTED)
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
