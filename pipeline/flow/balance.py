"""Selects streams to move so that workers carry equal shares. Pure.

A worker is left alone until it is clearly off its share, and then evened out well within that bound, so that
small changes of the loads move nothing. No move is made that would be worth taking back.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.base.text import StreamId


@dataclass(slots=True)
class Standing:
    """What one worker carries, and what it could give and take now.

    Attributes:
        capacity: Compared with the others; positive.
        load: Of all its streams and of those on the way to it.
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
        """Load for each unit of capacity."""
        return self.load / self.capacity

    def hand(self, stream_id: StreamId, target: "Standing") -> None:
        """Notes that a stream goes to another worker."""
        load = self.movable.pop(stream_id)
        self.load -= load
        self.gives -= 1
        target.load += load
        target.takes -= 1


class Balance:
    """Remembers which workers are being evened out.

    Args:
        spare: How far a worker may be off its fair share, as a part of that share.
    """

    def __init__(self, spare: float) -> None:
        self._spare = spare
        self._uneven: set[str] = set()

    def even_out(self, workers: Mapping[str, Standing]) -> Iterator[tuple[StreamId, str, str]]:
        """Streams to move now, each with its source and target; ``workers`` is changed along."""
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
        """Moves for one worker, until it is well within the bound or nothing more can be moved now."""
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
    """The largest stream that leaves the target below the source: it would not be moved back."""
    if source.gives <= 0 or target.takes <= 0 or source.level <= target.level:
        return None
    parts = 1 / source.capacity + 1 / target.capacity
    most = (source.level - target.level) / parts
    fitting = [(load, stream_id) for stream_id, load in source.movable.items() if load <= most]
    return max(fitting)[1] if fitting else None
