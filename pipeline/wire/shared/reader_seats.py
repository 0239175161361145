"""The readers of a shared-memory segment, as its publisher knows them."""

import time
from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, field
from typing import TypeVar

from pipeline.wire.shared.segment import Segment

MOST_NOTICES = 4096
"""Largest number of distinct notices that a publisher stores."""
Key = TypeVar("Key")


@dataclass
class SegmentReaders:
    """The readers of a shared-memory segment and their progress.

    Attributes:
        segment: The segment.
        sent: Ticket of the last frame that was sent.
        done: For each reader that has it open, the last ticket that was sent before it opened the segment.
        without: Readers that can't open it.
        doubted: For each reader that reports it as open although its seat is unmarked, since when, in
            monotonic seconds.
        ignored: Readers that were doubted for too long. The publisher neither waits for them nor sends them
            pixels until their seat is marked.
        answers: Number of connections by answer and reader name. A reader may reconnect before its lost
            connection is detected.
    """

    segment: Segment
    sent: int = -1
    done: dict[bytes, int] = field(default_factory=dict)
    without: set[bytes] = field(default_factory=set)
    doubted: dict[bytes, float] = field(default_factory=dict)
    ignored: set[bytes] = field(default_factory=set)
    answers: Counter[tuple[bytes, bytes]] = field(default_factory=Counter)

    def note(self, what: bytes, came: bool, name: bytes) -> None:
        """Processes a reader's ``opened`` or ``closed`` notice, or its withdrawal."""
        if not count(self.answers, (what, name), came):
            return
        if what == b"closed":
            (self.without.add if came else self.without.discard)(name)
            return
        if not came:
            for known in (self.done, self.doubted):
                known.pop(name, None)
            self.ignored.discard(name)
        elif name not in self.ignored:
            # The reader has reconnected: do not wait for frames sent through its former connection.
            self.done.pop(name, None)
            self.doubted.setdefault(name, time.monotonic())

    def keep(self, readers: Set[bytes]) -> None:
        """Limits waiting to these readers; others may have it open but have left the stream.

        A returning reader's seat is checked as if it had just opened the segment, because it has none of the
        frames sent in between.
        """
        for known in (self.done, self.doubted):
            for name in known.keys() - readers:
                del known[name]
        self.ignored &= readers
        for name in readers - self.done.keys() - self.doubted.keys() - self.ignored:
            if self.answers[b"opened", name]:
                self.doubted[name] = time.monotonic()

    def settle(self, readers: Set[bytes], patience_s: float) -> int:
        """Assigns seats and checks those of doubted readers; returns how many are newly ignored."""
        self.segment.seat(readers)
        wrong = 0
        for name in [name for name in self.ignored if self.segment.done(name) is not None]:
            self.ignored.remove(name)
            self.done[name] = self.sent
        for name, since in list(self.doubted.items()):
            if self.segment.done(name) is not None:
                self.done[name] = self.sent
            elif time.monotonic() - since > patience_s:
                self.ignored.add(name)
                wrong += 1
            else:
                continue
            del self.doubted[name]
        return wrong

    def ready(self, readers: Set[bytes]) -> bool:
        """Whether at least one reader has it open, and all others are ignored or known not to open it."""
        done = self.done.keys()
        return readers <= done or (
            readers <= done | self.without | self.ignored and not readers.isdisjoint(done)
        )

    def undecided(self, readers: Set[bytes]) -> bool:
        """Whether some readers have not answered yet."""
        return not readers <= self.done.keys() | self.without | self.ignored

    def oldest(self) -> int:
        """The last ticket that no reader needs any more."""
        return min(map(self._done, self.done), default=self.sent)

    def _done(self, name: bytes) -> int:
        done = self.segment.done(name)
        return max(self.done[name], min(-1 if done is None else done, self.sent))


def count(answers: Counter[Key], what: Key, came: bool) -> bool:
    """Adds or removes a connection; returns True for each added one, and for the last one removed."""
    if came:
        if what not in answers and len(answers) >= MOST_NOTICES:
            return False
        answers[what] += 1
        return True
    if what not in answers:
        return False
    answers[what] -= 1
    if answers[what]:
        return False
    del answers[what]
    return True
