"""Standard output that may go away: a pipe whose reader ends (``| head``), a terminal that is closed."""

import os
import sys


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
    outputs = [sys.stdout.fileno()]
    if os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno()):
        outputs.append(sys.stderr.fileno())
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in outputs:
        os.dup2(nowhere, output)
    os.close(nowhere)
