"""The ring: bounded, in order, and every item is accounted for."""

import threading
import time
from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pipeline.flow.ring import Ring


class RingAgainstList(RuleBasedStateMachine):
    """Any sequence of calls, compared with a plain list."""

    @initialize(capacity=st.integers(1, 5))
    def make(self, capacity: int) -> None:
        self.ring: Ring[int] = Ring(capacity)
        self.capacity = capacity
        self.expected: deque[int] = deque()
        self.next = 0
        self.out = 0

    @rule()
    def append(self) -> None:
        oldest = self.expected.popleft() if len(self.expected) == self.capacity else None
        assert self.ring.append(self.next) == oldest
        self.out += oldest is not None
        self.expected.append(self.next)
        self.next += 1

    @rule()
    def put(self) -> None:
        room = len(self.expected) < self.capacity
        assert self.ring.put(self.next, timeout_s=0.0) == room
        if room:
            self.expected.append(self.next)
            self.next += 1

    @rule()
    def pop(self) -> None:
        oldest = self.expected.popleft() if self.expected else None
        assert self.ring.pop() == oldest
        self.out += oldest is not None

    @rule()
    def pop_newest(self) -> None:
        items = list(self.expected)
        assert self.ring.pop_newest() == ((items[-1], items[:-1]) if items else (None, []))
        self.out += len(items)
        self.expected.clear()

    @invariant()
    def nothing_is_lost(self) -> None:
        if hasattr(self, "ring"):
            assert len(self.ring) == len(self.expected) <= self.capacity
            assert self.ring.full == (len(self.expected) == self.capacity)
            assert self.next == self.out + len(self.ring)
            assert not self.ring.finished


TestRingAgainstList = RingAgainstList.TestCase
TestRingAgainstList.settings = settings(max_examples=50)


def test_a_ring_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="must be at least 1, not 0"):
        Ring(0)


def test_put_wakes_a_reader_that_waits() -> None:
    ring: Ring[str] = Ring(1)
    got: list[str | None] = []
    reader = threading.Thread(target=lambda: got.append(ring.pop(timeout_s=30.0)))
    reader.start()
    assert ring.put("frame", timeout_s=0.0)
    reader.join(10.0)
    assert got == ["frame"]


def test_pop_wakes_a_writer_that_waits() -> None:
    ring: Ring[int] = Ring(1)
    ring.append(1)
    accepted: list[bool] = []
    writer = threading.Thread(target=lambda: accepted.append(ring.put(2, timeout_s=30.0)))
    writer.start()
    assert ring.pop() == 1
    writer.join(10.0)
    assert accepted == [True]
    assert ring.pop() == 2


def test_close_wakes_a_reader_that_waits_and_keeps_what_is_left() -> None:
    ring: Ring[int] = Ring(2)
    got: list[int | None] = []
    reader = threading.Thread(target=lambda: got.append(ring.pop(timeout_s=30.0)))
    reader.start()
    ring.close()
    reader.join(10.0)
    assert got == [None]
    left: Ring[int] = Ring(2)
    left.append(1)
    left.close()
    assert not left.finished
    assert left.pop() == 1
    assert left.finished


def test_waits_end() -> None:
    ring: Ring[int] = Ring(1)
    assert ring.pop(timeout_s=0.01) is None
    ring.append(1)
    assert not ring.put(2, timeout_s=0.01)
    assert ring.pop() == 1


@pytest.mark.parametrize("every", [True, False])
def test_two_threads_account_for_every_item(every: bool) -> None:
    ring: Ring[int] = Ring(3)
    evicted: list[int] = []

    def write() -> None:
        for item in range(2000):
            if every:
                assert ring.put(item, timeout_s=30.0)
            elif (old := ring.append(item)) is not None:
                evicted.append(old)
        ring.close()

    writer = threading.Thread(target=write)
    writer.start()
    taken: list[int] = []
    deadline = time.monotonic() + 30
    while not ring.finished and time.monotonic() < deadline:
        item = ring.pop(timeout_s=1.0)
        if item is not None:
            taken.append(item)
    writer.join(10.0)
    assert taken == sorted(taken)
    assert sorted(taken + evicted) == list(range(2000))
    assert not every or not evicted
