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
def repeated(report: Callable[[], None], every_s: float) -> Iterator[None]:
    """Calls ``report`` from a thread every ``every_s`` seconds until the block ends."""
    done = threading.Event()

    def repeat() -> None:
        while not done.wait(every_s):
            report()

    thread = threading.Thread(target=repeat, name="stage", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def stage(what: str, notify: Callable[[str], None] = print_stage) -> Iterator[None]:
    """Reports the start of a stage and then, from a thread, the elapsed time every ``EVERY_S`` seconds."""
    started_s = time.monotonic()
    notify(f"{what} ...")
    with repeated(lambda: notify(f"{what}: {time.monotonic() - started_s:.0f} s so far"), EVERY_S):
        yield
