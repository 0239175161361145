"""Selects the past frames of a stream by time: t-1 and t-2 are points in time, not frame counts."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Generic, TypeVar

K = TypeVar("K")

_INTERVALS = 4  # kept for the median, which distinguishes a slow camera from a dropped frame
_MOST_PER_SLOT = 32  # entries: enough for every frame at 240 fps with the default spacing of 100 ms


@dataclass(frozen=True, slots=True)
class Slot(Generic[K]):
    """A cached frame, selected as one of the ``T`` that a prediction uses.

    Attributes:
        key: The frame's identity, as given to ``append``.
        entry: The model's cached data for it.
        age_ms: Its age relative to the new frame.
    """

    key: K
    entry: Any
    age_ms: float


@dataclass(frozen=True, slots=True)
class Remembered(Generic[K]):
    """A cached frame.

    Attributes:
        key: The frame's identity, as given to ``append``.
        time_ns: Its time stamp.
        entry: The model's cached data for it.
    """

    key: K
    time_ns: int
    entry: Any


class StreamHistory(Generic[K]):
    """The cached frames of one stream; for each new frame call ``select``, then ``append``.

    Entries are opaque: only the runtime that made them uses them. Memory is bounded: an entry is
    dropped as soon as no later frame can select it. If too many are selectable, because the spacing is
    long or the camera fast, the history is thinned evenly.

    Args:
        num_past: ``T``, the number of slots.
        spacing_ms: Target time between the frames of neighbouring slots; 0 for consecutive frames.

    Raises:
        ValueError: ``num_past`` is less than 1, or ``spacing_ms`` is negative.
    """

    def __init__(self, num_past: int, spacing_ms: float = 0.0) -> None:
        if num_past < 1 or spacing_ms < 0:
            raise ValueError(f"invalid history: {num_past} slots, {spacing_ms} ms apart")
        self._num_past = num_past
        self._spacing_ns = round(spacing_ms * 1e6)
        self._frames: deque[Remembered[K]] = deque()
        self._intervals: deque[int] = deque(maxlen=_INTERVALS)
        self._last_ns: int | None = None  # time of the frame that starts the next interval

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def depth(self) -> int:
        """Maximum number of slots that the cached frames can fill, 0 to ``T``."""
        return min(len(self._frames), self._num_past)

    def select(self, now_ns: int) -> list[Slot[K] | None]:
        """Chooses the past frames for a new one.

        With a spacing, slot t-i takes the frame nearest to ``now - i * spacing``, within half a spacing;
        a slot without such a frame stays empty. With spacing 0, or a camera slower than the spacing, the
        slots are the last consecutive frames.

        Args:
            now_ns: Time of the new frame; only strictly older frames are used.

        Returns:
            ``T`` slots, oldest first, None where there is no frame. No frame fills two slots.
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
        """Adds a frame. If the clock went backwards, all older frames are dropped first."""
        if self._frames and time_ns <= self._frames[-1].time_ns:
            self.reset()
        self.note(time_ns)
        self._frames.append(Remembered(key, time_ns, entry))
        self._forget(time_ns)

    def note(self, time_ns: int) -> None:
        """Records the time of a frame that is not cached, to measure the camera's frame rate."""
        if self._last_ns is not None:
            self._intervals.append(time_ns - self._last_ns)
        self._last_ns = time_ns

    def wanted(self, times_ns: Sequence[int], next_ns: int) -> set[int]:
        """The times of those consecutive frames that a later frame would select if all of them were cached.

        Args:
            times_ns: Times of the consecutive frames, increasing, and later than all cached frames.
            next_ns: Time of the later frame.
        """
        trial: StreamHistory[int] = StreamHistory(self._num_past)
        trial._spacing_ns, trial._last_ns = self._spacing_ns, self._last_ns
        trial._intervals.extend(self._intervals)
        trial._frames.extend(Remembered(-1, frame.time_ns, None) for frame in self._frames)
        for time_ns in times_ns:
            trial.append(time_ns, time_ns, None)
        return {slot.key for slot in trial.select(next_ns) if slot} - {-1}

    def forget_since(self, time_ns: int) -> None:
        """Drops all frames at or after a time, for example because they turned out to be invalid."""
        while self._frames and self._frames[-1].time_ns >= time_ns:
            self._frames.pop()
            self._last_ns = self._frames[-1].time_ns if self._frames else None

    def content(self) -> tuple[list[Remembered[K]], list[int]]:
        """The cached frames, oldest first, and the last intervals between frames in ns."""
        return list(self._frames), list(self._intervals)

    def replace(self, frames: Sequence[Remembered[K]], intervals: Sequence[int]) -> None:
        """Takes over the content of another history, see ``content``.

        Raises:
            ValueError: The frames are not in time order, or there are too many.
        """
        times = [frame.time_ns for frame in frames]
        if times != sorted(set(times)) or len(times) > _MOST_PER_SLOT * self._num_past:
            raise ValueError("not the content of a history: frames must be in time order, and not too many")
        self._frames = deque(frames)
        self._intervals = deque(intervals, maxlen=_INTERVALS)
        self._last_ns = times[-1] if times else None

    def reset(self) -> None:
        """Drops everything."""
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
        """Drops the frame whose neighbours are closest to each other; keeps the last ``T``."""
        times = [frame.time_ns for frame in self._frames]
        inner = range(1, len(times) - self._num_past)
        del self._frames[min(inner, key=lambda number: times[number + 1] - times[number - 1])]

    def _nearest(self, frames: list[Remembered[K]], now_ns: int, i: int) -> Remembered[K] | None:
        """The frame nearest to ``i`` spacings ago; windows are half-open, so no frame fills two slots."""
        off = {
            abs(error): frame
            for frame in frames
            if -0.5 <= (error := (now_ns - frame.time_ns) / self._spacing_ns - i) < 0.5
        }
        return off[min(off)] if off else None
