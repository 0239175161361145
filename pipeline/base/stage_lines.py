"""Progress lines of long operations, on standard error."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY_S = 10.0
"""Time between two lines of one stage."""


def print_stage(line: str) -> None:
    """Prints a line at once, where no result goes."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def stage(what: str, notify: Callable[[str], None] = print_stage) -> Iterator[None]:
    """Reports what is done within, and every ``EVERY_S`` seconds for how long, from a thread of its own."""
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
