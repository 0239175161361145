"""Selects streams to move so that workers carry equal shares. No I/O and no clock.

A worker is rebalanced only once its load deviates from its fair share by more than the tolerance, and then to
within half the tolerance, so that small load changes cause no moves. A move is made only if the reverse move
would not pay off.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.base.text import StreamId


@dataclass(slots=True)
class Standing:
    """The load of one worker, and how many streams it can give and take now.

    Attributes:
        capacity: Relative to the other workers; positive.
        load: Total load of its streams and of those being moved to it.
        movable: Load of each stream that may be moved away.
        gives: How many more streams it may give now.
        takes: How many more streams it may take now.
    """

    capacity: float
    load: float = 0.0
    movable: dict[StreamId, float] = field(default_factory=dict)
    gives: int = 0
    takes: int = 0

    @property
    def level(self) -> float:
        """Load per unit of capacity."""
        return self.load / self.capacity

    def hand(self, stream_id: StreamId, target: "Standing") -> None:
        """Records that a stream moves to another worker."""
        load = self.movable.pop(stream_id)
        self.load -= load
        self.gives -= 1
        target.load += load
        target.takes -= 1


class Balance:
    """Rebalances workers and tracks which of them are still being rebalanced.

    Args:
        spare: Tolerated deviation from the fair share, as a fraction of that share.
    """

    def __init__(self, spare: float) -> None:
        self._spare = spare
        self._uneven: set[str] = set()

    def even_out(self, workers: Mapping[str, Standing]) -> Iterator[tuple[StreamId, str, str]]:
        """Yields streams to move now, with source and target, and updates ``workers`` accordingly."""
        fair = sum(one.load for one in workers.values()) / sum(one.capacity for one in workers.values())
        off = {name: abs(one.level - fair) for name, one in workers.items()}
        begun = {name for name in workers if off[name] > self._spare * fair}
        going_on = {name for name in self._uneven & off.keys() if off[name] > self._spare / 2 * fair}
        self._uneven = begun | going_on
        for name in sorted(self._uneven, key=lambda one: (-off[one], one)):
            yield from self._even_out_one(name, fair, workers)

    def _even_out_one(
        self, name: str, fair: float, workers: Mapping[str, Standing]
    ) -> Iterator[tuple[StreamId, str, str]]:
        """Yields moves for one worker until it is within half the tolerance or nothing more can move now."""
        own = workers[name]
        gives = own.level > fair
        while abs(own.level - fair) > self._spare / 2 * fair and (own.level > fair) == gives:
            others = sorted(
                workers.keys() - {name}, key=lambda one: (workers[one].level, one), reverse=not gives
            )
            for other in others:
                source, target = (name, other) if gives else (other, name)
                stream_id = _fitting(workers[source], workers[target])
                if stream_id is not None:
                    break
            else:
                return
            workers[source].hand(stream_id, workers[target])
            yield stream_id, source, target


def _fitting(source: Standing, target: Standing) -> StreamId | None:
    """The largest stream whose move leaves the target no higher than the source, so that it stays."""
    if source.gives <= 0 or target.takes <= 0 or source.level <= target.level:
        return None
    parts = 1 / source.capacity + 1 / target.capacity
    most = (source.level - target.level) / parts
    fitting = [(load, stream_id) for stream_id, load in source.movable.items() if load <= most]
    return max(fitting)[1] if fitting else None
