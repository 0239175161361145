"""Who listens to a publisher, as far as its XPUB socket tells."""

from collections import Counter
from dataclasses import dataclass, field

from pipeline.frame import Policy

_MOST_NOTICES = 4096


@dataclass
class SegmentReaders:
    """Who reads a segment of shared memory, and how far each has come.

    Attributes:
        sent: The ticket of the last frame that was sent.
        done: By reader that has it open: the last ticket whose slot it no longer needs.
        without: Readers that can't open it.
    """

    sent: int = -1
    done: dict[bytes, int] = field(default_factory=dict)
    without: set[bytes] = field(default_factory=set)

    def oldest(self) -> int:
        """The last ticket that nobody needs any more."""
        return min(self.done.values(), default=self.sent)


class Audience:
    """Keeps count of receivers from the subscriptions that come and go: see ``topics``.

    Attributes:
        roles: Number of connected receivers by role.
        segments: By token in hexadecimal: readers of shared memory, of segments that the publisher has.
    """

    def __init__(self) -> None:
        self.roles: Counter[str] = Counter()
        self.segments: dict[bytes, SegmentReaders] = {}
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
            case [b"opened" | b"closed" | b"read" as what, token, name, *more] if token in self.segments:
                self._note_reader(self.segments[token], what, came, name, b"".join(more))

    def readers(self, lane: Policy) -> set[bytes]:
        """The receivers that are connected on a lane."""
        return self._readers[lane]

    def ask(self, token: bytes) -> None:
        """Begins to note who acknowledges a message."""
        self._taken.setdefault(token, set())

    def all_took(self, lane: Policy, token: bytes) -> bool:
        """Whether every receiver that is still there has acknowledged a message."""
        return self._readers[lane] <= self._taken.get(token, set())

    def forget(self, token: bytes) -> None:
        """Drops the acknowledgements of a message that nobody asks about any more."""
        self._taken.pop(token, None)

    @staticmethod
    def _note_reader(readers: SegmentReaders, what: bytes, came: bool, name: bytes, ticket: bytes) -> None:
        if what == b"opened" and came and len(readers.done) < _MOST_NOTICES:
            readers.done.setdefault(name, readers.sent)
        elif what == b"opened" and not came:
            readers.done.pop(name, None)
        elif what == b"closed" and came and len(readers.without) < _MOST_NOTICES:
            readers.without.add(name)
        elif what == b"closed":
            readers.without.discard(name)
        elif came and name in readers.done and len(ticket) < 20 and ticket.isdigit():
            readers.done[name] = max(readers.done[name], min(int(ticket), readers.sent))
