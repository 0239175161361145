"""Who listens to a publisher, as far as its XPUB socket knows."""

from collections import Counter
from collections.abc import Set

from pipeline.base.frame import Policy
from pipeline.base.role_names import LISTENERS
from pipeline.wire.shared.reader_seats import MOST_NOTICES, SegmentReaders, count

_LISTENERS = {role.encode() for role in LISTENERS}


class Audience:
    """Keeps count of receivers from the subscriptions that come and go: see ``topics``.

    Attributes:
        roles: Number of connected receivers by role.
        segments: By token in hexadecimal: readers of shared memory, of segments that the publisher has.
    """

    def __init__(self) -> None:
        self.roles: Counter[str] = Counter()
        self.segments: dict[bytes, SegmentReaders] = {}
        self._readers: dict[Policy, Counter[bytes]] = {"newest": Counter(), "every": Counter()}
        self._taken: dict[bytes, set[bytes]] = {}

    def note(self, notice: bytes) -> None:
        """Takes in one notice: 1 (subscribed) or 0 (unsubscribed or gone), then the topic."""
        came = notice[:1] == b"\x01"
        if not came and notice[:1] != b"\x00":
            return
        match notice[1:].split(b"."):
            case [b"role", role] if role in _LISTENERS:
                count(self.roles, role.decode(), came)
            case [b"reader", (b"newest" | b"every") as lane, name]:
                count(self._readers["newest" if lane == b"newest" else "every"], name, came)
            case [b"taken", name, token] if came and token in self._taken:
                if len(self._taken[token]) < MOST_NOTICES:
                    self._taken[token].add(name)
            case [b"opened" | b"closed" as what, token, name] if token in self.segments:
                self.segments[token].note(what, came, name)

    def readers(self, lane: Policy) -> Set[bytes]:
        """The receivers that are connected on a lane."""
        return self._readers[lane].keys()

    def ask(self, token: bytes) -> None:
        """Begins to note who acknowledges a message."""
        self._taken.setdefault(token, set())

    def all_took(self, lane: Policy, token: bytes) -> bool:
        """Whether every receiver that is still there has acknowledged a message."""
        return self.readers(lane) <= self._taken.get(token, set())

    def forget(self, token: bytes) -> None:
        """Drops the acknowledgements of a message that nobody asks about any more."""
        self._taken.pop(token, None)
