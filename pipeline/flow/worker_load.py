"""The load of an inference worker, as ``GET /load`` reports it, and its limits.

Work is measured as time in steps, not as CPU load: a worker whose GPU is saturated leaves its CPU idle.
"""

from collections.abc import Iterable
from statistics import median

import msgspec

_NEWEST = 0.3
"""Weight of the newest report in the moving averages."""
_CALM = 0.8
"""An overload ends when all values are below this fraction of their limits."""
_MOST_FACTOR = 4.0
"""Upper bound of the extrapolation, which is unreliable for a worker with almost no predictions."""


class StreamLoad(msgspec.Struct, frozen=True):
    """Load of one stream of a worker over the last few seconds.

    Attributes:
        generation: Generation of its owner.
        fps: Predictions per second.
        work: Fraction of the worker's time that its steps took, from 0 to 1.
        dropped_per_s: Frames per second that were dropped because the worker was too slow.
        age_ms: Time from capture to prediction; None without predictions.
    """

    generation: int
    fps: float
    work: float
    dropped_per_s: float = 0.0
    age_ms: float | None = None

    def demand(self) -> float:
        """Fraction of the worker's time that all frames of the stream, dropped ones included, would take."""
        if self.dropped_per_s <= 0:
            return self.work
        factor = (self.fps + self.dropped_per_s) / self.fps if self.fps > 0 else _MOST_FACTOR
        return self.work * min(factor, _MOST_FACTOR)


class WorkerLoad(msgspec.Struct, frozen=True):
    """Load of one worker over the last few seconds.

    Attributes:
        worker: Name of the worker.
        busy: Fraction of its time spent in steps, from 0 to 1.
        streams: Load by ``stream_id``.
    """

    worker: str
    busy: float
    streams: dict[str, StreamLoad]


class Pressure(msgspec.Struct, frozen=True):
    """Load indicators of one or more workers.

    Attributes:
        busy: Fraction of the time spent in steps, from 0 to 1.
        dropped: Fraction of the frames that were dropped, from 0 to 1.
        age_ms: Median over the streams of the time from capture to prediction.
    """

    busy: float = 0.0
    dropped: float = 0.0
    age_ms: float = 0.0


class PressureLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits above which a worker is overloaded.

    Attributes:
        busy: Fraction of the time spent in steps.
        dropped: Fraction of the frames that are dropped.
        age_ms: Time from capture to prediction.
    """

    busy: float = 0.9
    dropped: float = 0.02
    age_ms: float = 500.0

    def worst(self, pressure: Pressure) -> float:
        """The highest of the three values relative to its limit."""
        return max(pressure.busy / self.busy, pressure.dropped / self.dropped, pressure.age_ms / self.age_ms)


def pressure_of(loads: Iterable[WorkerLoad]) -> Pressure:
    """The combined pressure on several workers."""
    loads = list(loads)
    if not loads:
        return Pressure()
    streams = [stream for load in loads for stream in load.streams.values()]
    dropped = sum(stream.dropped_per_s for stream in streams)
    frames = dropped + sum(stream.fps for stream in streams)
    ages = [stream.age_ms for stream in streams if stream.age_ms is not None]
    return Pressure(
        busy=sum(load.busy for load in loads) / len(loads),
        dropped=dropped / frames if frames > 0 else 0.0,
        age_ms=median(ages) if ages else 0.0,
    )


class Overload:
    """Detects an overloaded worker: compares moving averages with limits, with hysteresis.

    Attributes:
        pressure: The moving averages.
        late: Whether the worker is overloaded.
    """

    def __init__(self, limits: PressureLimits) -> None:
        self.pressure = Pressure()
        self.late = False
        self._limits = limits

    def take(self, load: WorkerLoad) -> None:
        """Updates the averages with a report."""
        new = pressure_of([load])
        self.pressure = Pressure(
            busy=smooth(self.pressure.busy, new.busy),
            dropped=smooth(self.pressure.dropped, new.dropped),
            age_ms=smooth(self.pressure.age_ms, new.age_ms),
        )
        worst = self._limits.worst(self.pressure)
        self.late = worst > (_CALM if self.late else 1.0)


def smooth(known: float, new: float) -> float:
    """Updates a moving average with a new value."""
    return known + _NEWEST * (new - known)
