"""Ages of the predictions of one stream, summarised a few times per second."""

import statistics
from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from pipeline.base.ranges import Difference, Duration, TimeNs
from pipeline.base.text import StreamId

Cause: TypeAlias = Literal["link", "machine"]
"""Main cause of the age: the link to inference, or inference itself."""


class Feedback(msgspec.Struct, frozen=True):
    """Recent ages of a live stream's predictions, sent from inference to capture.

    Attributes:
        stream_id: The stream.
        session: The session of its frames.
        sent_ns: Unix time in ns of the report, on inference's clock.
        age_ms: 90th percentile of the time from capture to prediction. On the wire it includes the offset
            between the clocks of inference and capture, as does ``transit_ms``.
        transit_ms: 90th percentile of the time from capture to arrival at inference.
        step_ms: Median duration of a step.
        since_ns: Capture time of the oldest frame of these predictions, on capture's clock.
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
        """Main cause of the age; a frame that arrives during a step is read only after it."""
        on_the_way = max(0.0, self.transit_ms - self.step_ms)
        return "link" if on_the_way > self.age_ms - on_the_way else "machine"


class AgeLog:
    """Collects the times of a stream's predictions until they are summarised."""

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
        """Records the session of one prediction and its times, in Unix ns."""
        self._session = session
        self._since_ns = min(self._since_ns, capture_ns) if self._ages else capture_ns
        self._ages.append(predicted_ns - capture_ns)
        self._transits.append(received_ns - capture_ns)
        self._steps.append(predicted_ns - started_ns)

    def pop(self, now_ns: int, interval_ns: int) -> Feedback | None:
        """The summary since the last call; None if there is nothing or the interval has not passed."""
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
