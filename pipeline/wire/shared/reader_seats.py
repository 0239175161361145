"""The readers of a shared-memory segment, as its publisher knows them."""

import time
from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, field
from typing import TypeVar

from pipeline.wire.shared.segment import Segment

MOST_NOTICES = 4096
"""Different ones of its readers that a publisher keeps."""
Key = TypeVar("Key")


@dataclass
class SegmentReaders:
    """Who reads a segment of shared memory, and how far each has come.

    Attributes:
        segment: The memory.
        sent: The ticket of the last frame that was sent.
        done: By reader that has it open: the last ticket that was sent before.
        without: Readers that can't open it.
        doubted: Since when, in monotonic seconds, a reader announces it as open and its seat does not.
        ignored: Readers that were doubted for too long: nobody waits for them, and they get no pixels, until
            their seat shows that they have opened it after all.
        answers: How many connections give which answer, by word and name: a reader that is back may be heard
            before the connection that it lost is known to be dead.
    """

    segment: Segment
    sent: int = -1
    done: dict[bytes, int] = field(default_factory=dict)
    without: set[bytes] = field(default_factory=set)
    doubted: dict[bytes, float] = field(default_factory=dict)
    ignored: set[bytes] = field(default_factory=set)
    answers: Counter[tuple[bytes, bytes]] = field(default_factory=Counter)

    def note(self, what: bytes, came: bool, name: bytes) -> None:
        """Takes in that a reader has ``opened`` it or finds it ``closed``, or that it takes that back."""
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
            # Who announces it again is back: what went through its former connection is not waited for.
            self.done.pop(name, None)
            self.doubted.setdefault(name, time.monotonic())

    def keep(self, readers: Set[bytes]) -> None:
        """Waits for these readers only: the others have left the stream, though they still have it open.

        One that is among them again is asked for its seat as if it had just opened it: of what went out
        meanwhile it has nothing.
        """
        for known in (self.done, self.doubted):
            for name in known.keys() - readers:
                del known[name]
        self.ignored &= readers
        for name in readers - self.done.keys() - self.doubted.keys() - self.ignored:
            if self.answers[b"opened", name]:
                self.doubted[name] = time.monotonic()

    def settle(self, readers: Set[bytes], patience_s: float) -> int:
        """Gives seats, and checks those of readers that announced it as open; returns how many were wrong."""
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
        """Whether some have it open, and all others are known not to."""
        done = self.done.keys()
        return readers <= done or (
            readers <= done | self.without | self.ignored and not readers.isdisjoint(done)
        )

    def undecided(self, readers: Set[bytes]) -> bool:
        """Whether some have still to answer."""
        return not readers <= self.done.keys() | self.without | self.ignored

    def oldest(self) -> int:
        """The last ticket that nobody needs any more."""
        return min(map(self._done, self.done), default=self.sent)

    def _done(self, name: bytes) -> int:
        done = self.segment.done(name)
        return max(self.done[name], min(-1 if done is None else done, self.sent))


def count(answers: Counter[Key], what: Key, came: bool) -> bool:
    """Counts connections by answer; returns whether one more gives it, or none does any more."""
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
