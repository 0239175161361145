"""What a benchmark is doing, on standard error: results alone go to standard output."""

import sys


def announce(text: str) -> None:
    """Says what is measured next, in one line."""
    print(text, file=sys.stderr, flush=True)
