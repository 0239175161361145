"""Recent events for the terminal, without duplicates."""

import re

_ELAPSED = re.compile(r"( \.\.\.|: \d+ s so far)$")
"""How lines about one stage of a long operation end: see ``pipeline.base.stage_lines``."""


class Events:
    """The latest events; a repeated one moves to the end with a count.

    The elapsed time of a long operation replaces the earlier line about it.

    Args:
        most: Number of different events kept; the oldest are dropped.
    """

    def __init__(self, most: int = 100) -> None:
        self._most = most
        self._counts: dict[str, int] = {}

    def add(self, text: str) -> None:
        """Adds an event."""
        if text.endswith("so far"):
            what = _ELAPSED.sub("", text)
            self._counts = {old: n for old, n in self._counts.items() if _ELAPSED.sub("", old) != what}
        self._counts[text] = self._counts.pop(text, 0) + 1
        if len(self._counts) > self._most:
            del self._counts[next(iter(self._counts))]

    def lines(self) -> list[str]:
        """One line per event, newest last."""
        return [text if count == 1 else f"{text} ({count} times)" for text, count in self._counts.items()]
