"""Detects objects that stop in a zone and stay there.

A stopped thing soon disappears because only motion is detected. It counts as stopped if it was last seen
inside the zone, slower than before, away from the edge of the image and not covered by another thing, and if
nothing has moved on from that place since. A thing that stays visible because parts of it move back and forth
counts as stopped if it makes no progress.
"""

import cmath
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pipeline.base.event import Moment
from pipeline.base.moving_thing import Point, Rectangle, Thing
from pipeline.base.sight import Sight
from pipeline.scene.zones import Area, anchor_of

_GONE_MS = 400.0
"""A thing not seen for this long is out of sight."""
_RESTS_MS = 500.0
"""A visible thing that makes no progress for this long may have stopped."""
_GETS_NOWHERE_MS = 2000.0
"""Time constant with which back-and-forth motion decays."""
_REACH, _LEAST_REACH, _MOST_REACH = 0.1, 0.01, 0.05
"""How far a thing must move to count as having moved on: a share of its box's longer side, within bounds
given as shares of the image."""
_JUMPS = 0.02
"""Uncertainty of the centre of a box, as a share of the image."""
_TRAVELLED = 3
"""Distance, in multiples of its reach, that a thing must have travelled before it can stop."""
_SLOWED = 0.85
"""A thing that is lost from sight has stopped only if its last speed is at most this share of its highest
recent speed."""
_TRAVELS_MS = 3000.0
"""Time constant with which the travelled distance decays."""
_LATELY_MS = 700.0
"""Time span of the recent speeds."""
_EDGE = 0.01
"""Share of the image: a thing last seen this close to the edge has left."""
_SAME_PLACE = 0.5
"""Overlap (intersection over union) above which two stops are the same one."""
MOST_STOPS = 64
"""Largest number of stops in one zone; with more, the oldest one is ended."""


@dataclass(slots=True, eq=False)
class Stop:
    """A thing that has stopped.

    Attributes:
        thing: As it was last seen before it stopped.
        since: When it was last seen before it stopped.
        id: The thing's id; None if it will get a new one when it moves on.
        is_told: Whether an event has reported it.
        ended: When it moved on; None while it stands.
    """

    thing: Thing
    since: Moment
    id: int | None
    is_told: bool = False
    ended: Moment | None = None


@dataclass(slots=True, eq=False)
class _Way:
    """Observations of a moving thing.

    Attributes:
        thing: As it was last seen.
        last: When it was last seen.
        first: When it was first seen, or seen again.
        rest: Time since which it has stayed within its reach.
        place: Centre of its box at that time.
        drift: Displacement since then from its own motion, right and up.
        travelled: Distance travelled, decaying over time.
        speeds: Recent speeds with their times.
        stop: The stop it has made, or may have ended.
        is_covered: Whether something else has been in front of it since it was last seen.
    """

    thing: Thing
    last: Moment
    first: Moment
    rest: Moment
    place: Point
    drift: complex = 0j
    travelled: float = 0.0
    speeds: deque[tuple[int, float]] = field(default_factory=deque)
    stop: Stop | None = None
    is_covered: bool = False

    def see(self, thing: Thing, now: Moment) -> bool:
        """Processes an observation; returns whether it has moved on."""
        passed_s = (now.time_ns - self.last.time_ns) / 1e9
        step = cmath.rect(thing.speed * passed_s, math.radians(thing.direction_deg))
        self.drift = self.drift * math.exp(-passed_s * 1000 / _GETS_NOWHERE_MS) + step
        self.travelled *= math.exp(-passed_s * 1000 / _TRAVELS_MS)
        self.thing, self.last, self.is_covered = thing, now, False
        self.speeds.append((now.time_ns, thing.speed))
        while (now.time_ns - self.speeds[0][0]) / 1e6 > _LATELY_MS:
            self.speeds.popleft()
        reach = _reach(thing)
        place = anchor_of(thing.box, "middle")
        moved = max(abs(self.drift), math.dist(place, self.place) - _JUMPS)
        if moved <= reach:
            return False
        self.travelled += abs(self.drift)
        self.rest, self.drift, self.place = now, 0j, place
        return True

    @property
    def can_stop(self) -> bool:
        """Whether it has travelled far enough to be able to stop."""
        return self.travelled >= _TRAVELLED * _reach(self.thing)

    @property
    def has_slowed(self) -> bool:
        """Whether it was slower at the end than shortly before."""
        return self.thing.speed <= _SLOWED * max(speed for _, speed in self.speeds)


class Stops:
    """Follows all things of a stream and detects those that stop in one zone.

    ``update`` is called with each frame, in order.

    Attributes:
        standing: Stops that have not ended, oldest first.
    """

    def __init__(self, area: Area) -> None:
        self._area = area
        self._ways: dict[int, _Way] = {}
        self.standing: list[Stop] = []

    def update(self, things: Sequence[Thing], now: Moment, sight: Sight | None) -> None:
        """Processes the things of the next frame.

        Args:
            things: In coordinates of the reference view.
            now: When it was captured.
            sight: Position of that view in the image; None if none is tracked.
        """
        for thing in things:
            self._see(thing, now)
        for number, way in list(self._ways.items()):
            if _ms(way.last, now) > _GONE_MS:
                del self._ways[number]
                self._lose(way, sight)
            elif way.last != now:
                way.is_covered |= any(_covers(thing, way.thing) for thing in things)
            elif way.stop is None and _ms(way.rest, now) >= _RESTS_MS and way.can_stop:
                self._stand(way, way.rest, sight)

    def forget(self) -> None:
        """Discards all things, because their ids are no longer valid; keeps only stops that were reported."""
        self._ways.clear()
        self.standing = [stop for stop in self.standing if stop.is_told]
        for stop in self.standing:
            stop.id = None

    def clear(self) -> None:
        """Resets the state."""
        self._ways.clear()
        self.standing = []

    def _see(self, thing: Thing, now: Moment) -> None:
        way = self._ways.get(thing.id)
        if way is None:
            way = self._ways[thing.id] = _Way(thing, now, now, now, anchor_of(thing.box, "middle"))
            way.stop = self._left_by(thing, now)
            if way.stop:  # the stopped thing moves on
                way.travelled = _TRAVELLED * _reach(thing)
        has_gone_on = way.see(thing, now)
        if way.stop and way.stop.ended is None and has_gone_on:
            self._end(way.stop, way.first if way.first > way.stop.since else now)
        if has_gone_on:
            way.stop = None

    def _left_by(self, thing: Thing, now: Moment) -> Stop | None:
        """The stop, if any, made by a thing that is first seen now."""
        for stop in reversed(self.standing):
            if stop.id == thing.id:
                return stop
        if any(
            _covers(way.thing, thing)
            for number, way in self._ways.items()
            if number != thing.id and _ms(way.last, now) <= _GONE_MS
        ):
            return None  # something passing in front has its own id
        return next((stop for stop in reversed(self.standing) if _covers(stop.thing, thing)), None)

    def _lose(self, way: _Way, sight: Sight | None) -> None:
        """Processes a thing that went out of sight: it may have stopped."""
        if way.stop is None and way.can_stop and way.has_slowed and not way.is_covered:
            self._stand(way, way.last, sight)

    def _stand(self, way: _Way, since: Moment, sight: Sight | None) -> None:
        point = anchor_of(way.thing.box, self._area.anchor)
        if _is_at_edge(way.thing.box, sight) or not self._area.holds(point, was_inside=False):
            return
        for stop in list(self.standing):
            if _overlap(stop.thing.box, way.thing.box) > _SAME_PLACE:
                self._end(stop, since)
        way.stop = Stop(way.thing, since, way.thing.id)
        self.standing.append(way.stop)
        if len(self.standing) > MOST_STOPS:
            self._end(self.standing[0], since)

    def _end(self, stop: Stop, at: Moment) -> None:
        stop.ended = max(at, stop.since)
        self.standing = [one for one in self.standing if one is not stop]


def _reach(thing: Thing) -> float:
    return min(max(_REACH * max(thing.box[2:]), _LEAST_REACH), _MOST_REACH)


def _covers(thing: Thing, other: Thing) -> bool:
    """Whether a thing's box contains the centre of another one's."""
    (left, top, width, height), (x, y) = thing.box, anchor_of(other.box, "middle")
    return left <= x <= left + width and top <= y <= top + height


def _is_at_edge(box: Rectangle, sight: Sight | None) -> bool:
    return not all(_EDGE < share < 1 - _EDGE for corner in _corners(box, sight) for share in corner)


def _corners(box: Rectangle, sight: Sight | None) -> Iterator[Point]:
    left, top, width, height = box
    for point in ((left, top), (left + width, top), (left, top + height), (left + width, top + height)):
        yield sight.in_picture(point) if sight else point


def _overlap(box: Rectangle, other: Rectangle) -> float:
    (x, y, width, height), (left, top, wide, tall) = box, other
    across = max(0.0, min(x + width, left + wide) - max(x, left))
    down = max(0.0, min(y + height, top + tall) - max(y, top))
    common = across * down
    return common / (width * height + wide * tall - common) if common else 0.0


def _ms(since: Moment, now: Moment) -> float:
    return (now.time_ns - since.time_ns) / 1e6
