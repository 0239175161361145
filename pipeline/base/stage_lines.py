"""Progress lines of long operations, on standard error."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY_S = 10.0
"""Interval between two lines of one stage."""


def print_stage(line: str) -> None:
    """Prints a line to standard error and flushes it."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def stage(what: str, notify: Callable[[str], None] = print_stage) -> Iterator[None]:
    """Reports the start of a stage and then, from a thread, the elapsed time every ``EVERY_S`` seconds."""
    started_s, done = time.monotonic(), threading.Event()

    def remind() -> None:
        while not done.wait(EVERY_S):
            notify(f"{what}: {time.monotonic() - started_s:.0f} s so far")

    notify(f"{what} ...")
    reminder = threading.Thread(target=remind, name="stage", daemon=True)
    reminder.start()
    try:
        yield
    finally:
        done.set()
        reminder.join()
