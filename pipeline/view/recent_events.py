"""Recent events for the terminal, without duplicates."""


class Events:
    """The latest events; one that repeats moves to the end and is counted instead of shown again.

    Args:
        most: How many different ones are kept; the oldest give way.
    """

    def __init__(self, most: int = 100) -> None:
        self._most = most
        self._counts: dict[str, int] = {}

    def add(self, text: str) -> None:
        """Takes in one event."""
        self._counts[text] = self._counts.pop(text, 0) + 1
        if len(self._counts) > self._most:
            del self._counts[next(iter(self._counts))]

    def lines(self) -> list[str]:
        """A line for each, newest last."""
        return [text if count == 1 else f"{text} ({count} times)" for text, count in self._counts.items()]
