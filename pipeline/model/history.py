"""Selects the past frames of a stream by time: t-1 and t-2 are times, not positions."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Generic, TypeVar

K = TypeVar("K")

_INTERVALS = 4  # remembered, for the median that separates a slow camera from a dropped frame
_MOST_PER_SLOT = 32  # entries: enough for every frame of 240 a second at the usual 100 ms


@dataclass(frozen=True, slots=True)
class Slot(Generic[K]):
    """A remembered frame, chosen as one of the ``T`` that a prediction looks at.

    Attributes:
        key: The frame's identity, as given to ``append``.
        entry: What the model keeps of it.
        age_ms: How much older it is than the new frame.
    """

    key: K
    entry: Any
    age_ms: float


@dataclass(frozen=True, slots=True)
class Remembered(Generic[K]):
    """A remembered frame.

    Attributes:
        key: The frame's identity, as given to ``append``.
        time_ns: Its time.
        entry: What the model keeps of it.
    """

    key: K
    time_ns: int
    entry: Any


class StreamHistory(Generic[K]):
    """Memory of one stream; for each new frame call ``select``, then ``append``.

    What an entry is, is the business of the runtime that made it. Memory is bounded: an entry is
    forgotten as soon as no later frame can pick it; and where too many could be picked, because the
    spacing is long or the camera fast, only some of them are kept, at even distances.

    Args:
        num_past: ``T``, the number of slots.
        spacing_ms: Wanted time between the frames of neighbouring slots; 0 for consecutive frames.

    Raises:
        ValueError: No slot, or a negative spacing.
    """

    def __init__(self, num_past: int, spacing_ms: float = 0.0) -> None:
        if num_past < 1 or spacing_ms < 0:
            raise ValueError(f"no history has {num_past} slots {spacing_ms} ms apart")
        self._num_past = num_past
        self._spacing_ns = round(spacing_ms * 1e6)
        self._frames: deque[Remembered[K]] = deque()
        self._intervals: deque[int] = deque(maxlen=_INTERVALS)
        self._last_ns: int | None = None  # of the frame that the next interval is counted from

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def depth(self) -> int:
        """How many slots the remembered frames could fill at most, 0 to ``T``."""
        return min(len(self._frames), self._num_past)

    def select(self, now_ns: int) -> list[Slot[K] | None]:
        """Chooses the past frames for a new one.

        With a spacing, slot t-i takes the frame nearest to ``now - i * spacing``, within half a spacing;
        a slot without such a frame stays empty. A camera slower than the spacing has no frames in
        between: then, and with spacing 0, the slots are the last frames in a row.

        Args:
            now_ns: Time of the new frame; only frames strictly older count.

        Returns:
            ``T`` slots, oldest first, None where there is no frame. No frame is in two of them.
        """
        older = [frame for frame in self._frames if frame.time_ns < now_ns]
        if not older:
            return [None] * self._num_past
        if median([*self._intervals, now_ns - older[-1].time_ns]) >= self._spacing_ns:
            missing = self._num_past - len(older)
            chosen: list[Remembered[K] | None] = [*[None] * missing, *older[-self._num_past :]]
        else:
            chosen = [self._nearest(older, now_ns, i) for i in range(self._num_past, 0, -1)]
        return [Slot(f.key, f.entry, (now_ns - f.time_ns) / 1e6) if f else None for f in chosen]

    def append(self, key: K, time_ns: int, entry: Any) -> None:
        """Remembers a frame. If the clock went back, everything older is worthless and forgotten first."""
        if self._frames and time_ns <= self._frames[-1].time_ns:
            self.reset()
        self.note(time_ns)
        self._frames.append(Remembered(key, time_ns, entry))
        self._forget(time_ns)

    def note(self, time_ns: int) -> None:
        """Notes a frame that is not remembered: how fast the camera is shows with it as well."""
        if self._last_ns is not None:
            self._intervals.append(time_ns - self._last_ns)
        self._last_ns = time_ns

    def wanted(self, times_ns: Sequence[int], next_ns: int) -> set[int]:
        """Which of several frames in a row a later one would look at, were they all remembered.

        Args:
            times_ns: Their times, each later than the one before and than what is remembered.
            next_ns: Time of the later one.
        """
        trial: StreamHistory[int] = StreamHistory(self._num_past)
        trial._spacing_ns, trial._last_ns = self._spacing_ns, self._last_ns
        trial._intervals.extend(self._intervals)
        trial._frames.extend(Remembered(-1, frame.time_ns, None) for frame in self._frames)
        for time_ns in times_ns:
            trial.append(time_ns, time_ns, None)
        return {slot.key for slot in trial.select(next_ns) if slot} - {-1}

    def forget_since(self, time_ns: int) -> None:
        """Forgets the frames from a time on: they turned out to be worthless."""
        while self._frames and self._frames[-1].time_ns >= time_ns:
            self._frames.pop()
            self._last_ns = self._frames[-1].time_ns if self._frames else None

    def content(self) -> tuple[list[Remembered[K]], list[int]]:
        """The remembered frames, oldest first, and the last times between two frames in ns."""
        return list(self._frames), list(self._intervals)

    def replace(self, frames: Sequence[Remembered[K]], intervals: Sequence[int]) -> None:
        """Remembers what another history did: see ``content``.

        Raises:
            ValueError: The frames are not in order of their times, or too many.
        """
        times = [frame.time_ns for frame in frames]
        if times != sorted(set(times)) or len(times) > _MOST_PER_SLOT * self._num_past:
            raise ValueError("these are not the frames of a history")
        self._frames = deque(frames)
        self._intervals = deque(intervals, maxlen=_INTERVALS)
        self._last_ns = times[-1] if times else None

    def reset(self) -> None:
        """Forgets everything."""
        self._frames.clear()
        self._intervals.clear()
        self._last_ns = None

    def _forget(self, now_ns: int) -> None:
        reach_ns = (self._num_past + 0.5) * self._spacing_ns
        while len(self._frames) > self._num_past and now_ns - self._frames[0].time_ns >= reach_ns:
            self._frames.popleft()
        if len(self._frames) > _MOST_PER_SLOT * self._num_past:
            self._thin()

    def _thin(self) -> None:
        """Forgets the frame whose neighbours are closest to each other; the last ``T`` stay."""
        times = [frame.time_ns for frame in self._frames]
        inner = range(1, len(times) - self._num_past)
        del self._frames[min(inner, key=lambda number: times[number + 1] - times[number - 1])]

    def _nearest(self, frames: list[Remembered[K]], now_ns: int, i: int) -> Remembered[K] | None:
        """The frame nearest to ``i`` spacings ago; half-open windows, so that neighbours never share one."""
        off = {
            abs(error): frame
            for frame in frames
            if -0.5 <= (error := (now_ns - frame.time_ns) / self._spacing_ns - i) < 0.5
        }
        return off[min(off)] if off else None
