"""How old the predictions of one stream are: collected by inference, summed up a few times a second."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Cause: TypeAlias = Literal["link", "machine"]
"""Where most of the age comes from: the way to inference, or inference itself."""


@dataclass(frozen=True, slots=True)
class Ages:
    """How old the predictions of a stream were lately.

    Attributes:
        age_ms: From capture to prediction; nine in ten were no older.
        transit_ms: From capture to arrival at inference; nine in ten took no longer.
        step_ms: Median time of a step.
        since_ns: Capture time of the oldest of these frames.
    """

    age_ms: float
    transit_ms: float
    step_ms: float
    since_ns: int

    @property
    def cause(self) -> Cause:
        """Where most of the age comes from; a frame that meets a step under way waits for it unread."""
        on_the_way = max(0.0, self.transit_ms - self.step_ms)
        return "link" if on_the_way > self.age_ms - on_the_way else "machine"


@dataclass(frozen=True, slots=True)
class AgeReport:
    """What inference reports to capture.

    Attributes:
        stream_id: The stream.
        session: The session of its frames.
        sent_ns: Unix time in ns of the report, on inference's clock.
        ages: With ``age_ms`` and ``transit_ms`` as inference's clock minus capture's.
    """

    stream_id: str
    session: int
    sent_ns: int
    ages: Ages


class AgeLog:
    """Collects the times of predictions until they are summed up."""

    def __init__(self) -> None:
        self._ages: list[int] = []
        self._transits: list[int] = []
        self._steps: list[int] = []
        self._since_ns = 0
        self._due_ns = 0

    def add(self, *, capture_ns: int, received_ns: int, started_ns: int, predicted_ns: int) -> None:
        """Notes one prediction by its frame's times, Unix ns."""
        self._since_ns = min(self._since_ns, capture_ns) if self._ages else capture_ns
        self._ages.append(predicted_ns - capture_ns)
        self._transits.append(received_ns - capture_ns)
        self._steps.append(predicted_ns - started_ns)

    def pop(self, now_ns: int, interval_ns: int) -> Ages | None:
        """What was noted since the last time; None if that was less than ``interval_ns`` ago, or nothing."""
        if not self._ages or now_ns < self._due_ns:
            return None
        self._due_ns = now_ns + interval_ns
        ages = Ages(
            age_ms=_nine_in_ten(self._ages) / 1e6,
            transit_ms=_nine_in_ten(self._transits) / 1e6,
            step_ms=statistics.median(self._steps) / 1e6,
            since_ns=self._since_ns,
        )
        for values in (self._ages, self._transits, self._steps):
            values.clear()
        return ages


def _nine_in_ten(values: Sequence[int]) -> int:
    return sorted(values)[(len(values) * 9 - 1) // 10]
