"""Detects which objects crossed a line, and in which direction."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.base.event import Moment
from pipeline.base.moving_thing import Point, Thing
from pipeline.scene.presence import Presence
from pipeline.scene.sentence import IN_PLACE
from pipeline.scene.tracks import REMEMBERED_MS
from pipeline.scene.zones import Border, anchor_of


@dataclass(slots=True)
class _Walker:
    """A thing near a line: its current side, and its last position on that side."""

    side: Presence
    point: Point
    last: Moment


@dataclass(frozen=True, slots=True)
class Crossing:
    """A thing has crossed a line.

    Attributes:
        thing: As it was when the crossing was confirmed.
        at: When it was first seen on the other side.
        forward: Whether it crossed from the left of the line to its right.
    """

    thing: Thing
    at: Moment
    forward: bool


class Crossings:
    """Follows all things of a stream across one line; ``update`` is called with each frame, in order.

    A thing has crossed if it was clearly on one side, then for a moment clearly on the other, and its path
    went through the line. On the line itself it is on neither side, so standing there is not counted. A box
    that jumps, for example where things meet and part, is not counted either, because its thing does not
    move in the direction of the jump.
    """

    def __init__(self, border: Border) -> None:
        self._border = border
        self._walkers: dict[int, _Walker] = {}

    def update(self, things: Sequence[Thing], now: Moment) -> list[Crossing]:
        """Processes the things of the next frame; returns the crossings confirmed by it."""
        found = [crossing for thing in things if (crossing := self._see(thing, now))]
        for number, walker in list(self._walkers.items()):
            if (now.time_ns - walker.last.time_ns) / 1e6 > REMEMBERED_MS:
                del self._walkers[number]
        return found

    def forget(self) -> None:
        """Forgets all things."""
        self._walkers.clear()

    def _see(self, thing: Thing, now: Moment) -> Crossing | None:
        point = anchor_of(thing.box, self._border.anchor)
        forward, walker = self._border.is_forward(point), self._walkers.get(thing.id)
        if walker is None:
            if forward is not None:
                self._walkers[thing.id] = _Walker(Presence(forward, now), point, now)
            return None
        walker.last = now
        if forward is None or (forward != walker.side.holds and not self._goes(thing, point, forward)):
            walker.side.doubt()
            return None
        turned = walker.side.see(forward, now)
        crossed = turned and self._border.crosses(walker.point, point)
        if forward == walker.side.holds:
            walker.point = point
        return Crossing(thing, walker.side.since, forward) if crossed else None

    def _goes(self, thing: Thing, point: Point, forward: bool) -> bool:
        """Whether a thing is moving in a direction compatible with the crossing."""
        return thing.speed >= IN_PLACE and self._border.is_along(thing.direction_deg, point, forward)
