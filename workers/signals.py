"""Signal handling in the foreground: the first signal stops gracefully, the second immediately."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from workers import exit_codes


@contextmanager
def handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Within the context, Ctrl-C, ``kill`` and closing the terminal call ``handler``."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # set by `nohup`
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


@contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Within the context, the first signal sets ``stop``; the second exits immediately."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(exit_codes.INTERRUPTED)
        stop.set()

    with handled_by(on_signal):
        yield
