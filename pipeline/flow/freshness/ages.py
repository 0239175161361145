"""Ages of the predictions of one stream, summarised a few times per second."""

import statistics
from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from pipeline.base.ranges import Difference, Duration, TimeNs
from pipeline.base.text import StreamId

Cause: TypeAlias = Literal["link", "machine"]
"""Where most of the age comes from: the way to inference, or inference itself."""


class Feedback(msgspec.Struct, frozen=True):
    """How old the predictions of a live stream were lately; inference sends it to capture as it is.

    Attributes:
        stream_id: The stream.
        session: The session of its frames.
        sent_ns: Unix time in ns of the report, on inference's clock, which ``since_ns`` is not.
        age_ms: From capture to prediction; nine in ten were no older. On the wire it is inference's clock
            minus capture's, and so is ``transit_ms``.
        transit_ms: From capture to arrival at inference; nine in ten took no longer.
        step_ms: Median time of a step.
        since_ns: Capture time of the oldest of these frames.
    """

    stream_id: StreamId
    session: TimeNs
    sent_ns: TimeNs
    age_ms: Difference
    transit_ms: Difference
    step_ms: Duration
    since_ns: TimeNs

    @property
    def cause(self) -> Cause:
        """Where most of the age comes from; a frame that meets a step under way waits for it unread."""
        on_the_way = max(0.0, self.transit_ms - self.step_ms)
        return "link" if on_the_way > self.age_ms - on_the_way else "machine"


class AgeLog:
    """Collects the times of a stream's predictions until they are summed up."""

    def __init__(self, stream_id: str) -> None:
        self._stream_id, self._session = stream_id, 0
        self._ages: list[int] = []
        self._transits: list[int] = []
        self._steps: list[int] = []
        self._since_ns = 0
        self._due_ns = 0

    def add(
        self, session: int, *, capture_ns: int, received_ns: int, started_ns: int, predicted_ns: int
    ) -> None:
        """Notes one prediction by its frame's session and times, Unix ns."""
        self._session = session
        self._since_ns = min(self._since_ns, capture_ns) if self._ages else capture_ns
        self._ages.append(predicted_ns - capture_ns)
        self._transits.append(received_ns - capture_ns)
        self._steps.append(predicted_ns - started_ns)

    def pop(self, now_ns: int, interval_ns: int) -> Feedback | None:
        """What was noted since the last time; None if that was less than ``interval_ns`` ago, or nothing."""
        if not self._ages or now_ns < self._due_ns:
            return None
        self._due_ns = now_ns + interval_ns
        feedback = Feedback(
            self._stream_id,
            self._session,
            sent_ns=now_ns,
            age_ms=_nine_in_ten(self._ages) / 1e6,
            transit_ms=_nine_in_ten(self._transits) / 1e6,
            step_ms=statistics.median(self._steps) / 1e6,
            since_ns=self._since_ns,
        )
        for values in (self._ages, self._transits, self._steps):
            values.clear()
        return feedback


def _nine_in_ten(values: Sequence[int]) -> int:
    return sorted(values)[(len(values) * 9 - 1) // 10]
