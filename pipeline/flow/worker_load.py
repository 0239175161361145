"""The load of an inference worker, as ``GET /load`` reports it, and its limits.

Work is measured by time in steps, not by CPU: a worker on a GPU that is full leaves its CPU idle.
"""

from collections.abc import Iterable
from statistics import median

import msgspec

_NEWEST = 0.3
"""Weight of the newest report in the running means."""
_CALM = 0.8
"""An overload is over when everything is below so much of its limit."""
_MOST_FACTOR = 4.0
"""A worker that predicts next to nothing tells little about what its streams would cost."""


class StreamLoad(msgspec.Struct, frozen=True):
    """One stream of a worker over the last seconds.

    Attributes:
        generation: Of its owner.
        fps: Predictions a second.
        work: Share of the worker's time that its steps took, from 0 to 1.
        dropped_per_s: Frames that were dropped because the worker was too slow.
        age_ms: From capture to prediction; None: none was made.
    """

    generation: int
    fps: float
    work: float
    dropped_per_s: float = 0.0
    age_ms: float | None = None

    def demand(self) -> float:
        """Share of the worker's time that all of its frames would take."""
        if self.dropped_per_s <= 0:
            return self.work
        factor = (self.fps + self.dropped_per_s) / self.fps if self.fps > 0 else _MOST_FACTOR
        return self.work * min(factor, _MOST_FACTOR)


class WorkerLoad(msgspec.Struct, frozen=True):
    """One worker over the last seconds.

    Attributes:
        worker: Its name.
        busy: Share of its time in steps, from 0 to 1.
        streams: By ``stream_id``.
    """

    worker: str
    busy: float
    streams: dict[str, StreamLoad]


class Pressure(msgspec.Struct, frozen=True):
    """What one or all workers suffer.

    Attributes:
        busy: Share of the time in steps, from 0 to 1.
        dropped: Share of the frames that were dropped, from 0 to 1.
        age_ms: Median over the streams, from capture to prediction.
    """

    busy: float = 0.0
    dropped: float = 0.0
    age_ms: float = 0.0


class PressureLimits(msgspec.Struct, frozen=True, kw_only=True):
    """From when on it is too much.

    Attributes:
        busy: Share of the time in steps.
        dropped: Share of the frames.
        age_ms: From capture to prediction.
    """

    busy: float = 0.9
    dropped: float = 0.02
    age_ms: float = 500.0

    def worst(self, pressure: Pressure) -> float:
        """The largest of the three, as a part of its limit."""
        return max(pressure.busy / self.busy, pressure.dropped / self.dropped, pressure.age_ms / self.age_ms)


def pressure_of(loads: Iterable[WorkerLoad]) -> Pressure:
    """The pressure on some workers together."""
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
    """Whether one worker has too much to do: its running means against limits, with hysteresis.

    Attributes:
        pressure: The running means.
        late: Whether it has too much to do.
    """

    def __init__(self, limits: PressureLimits) -> None:
        self.pressure = Pressure()
        self.late = False
        self._limits = limits

    def take(self, load: WorkerLoad) -> None:
        """Takes in a report."""
        new = pressure_of([load])
        self.pressure = Pressure(
            busy=smooth(self.pressure.busy, new.busy),
            dropped=smooth(self.pressure.dropped, new.dropped),
            age_ms=smooth(self.pressure.age_ms, new.age_ms),
        )
        worst = self._limits.worst(self.pressure)
        self.late = worst > (_CALM if self.late else 1.0)


def smooth(known: float, new: float) -> float:
    """The running mean with a new value."""
    return known + _NEWEST * (new - known)
