"""Who listens to a publisher, as far as its XPUB socket tells."""

from collections import Counter

from pipeline.frame import Policy

_MOST_NOTICES = 4096


class Audience:
    """Keeps count of receivers from the subscriptions that come and go: see ``topics``.

    Attributes:
        roles: Number of connected receivers by role.
    """

    def __init__(self) -> None:
        self.roles: Counter[str] = Counter()
        self._readers: dict[Policy, set[bytes]] = {"newest": set(), "every": set()}
        self._taken: dict[bytes, set[bytes]] = {}

    def note(self, notice: bytes) -> None:
        """Takes in one notice: 1 (subscribed) or 0 (unsubscribed or gone), then the topic."""
        came = notice[:1] == b"\x01"
        if not came and notice[:1] != b"\x00":
            return
        match notice[1:].split(b"."):
            case [b"role", (b"inference" | b"sink") as role]:
                self.roles[role.decode()] += 1 if came else -1
                self.roles = +self.roles
            case [b"reader", (b"newest" | b"every") as lane, name]:
                readers = self._readers["newest" if lane == b"newest" else "every"]
                if came and len(readers) < _MOST_NOTICES:
                    readers.add(name)
                elif not came:
                    readers.discard(name)
            case [b"taken", name, token] if came and token in self._taken:
                if len(self._taken[token]) < _MOST_NOTICES:
                    self._taken[token].add(name)

    def ask(self, token: bytes) -> None:
        """Begins to note who acknowledges a message."""
        self._taken.setdefault(token, set())

    def all_took(self, lane: Policy, token: bytes) -> bool:
        """Whether every receiver that is still there has acknowledged a message."""
        return self._readers[lane] <= self._taken.get(token, set())

    def forget(self, token: bytes) -> None:
        """Drops the acknowledgements of a message that nobody asks about any more."""
        self._taken.pop(token, None)
