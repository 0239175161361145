"""Detects objects that stop in a zone and stay there.

A thing that stops is soon out of sight. So it has stopped if it was last seen inside the zone, slower than
before, away from the picture's edge, with nothing else in front of it, and if nothing has moved on from that
place since. A thing that stays in sight because something of it goes to and fro has stopped if that leads
nowhere.
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
"""Who is not seen for so long is out of sight."""
_RESTS_MS = 500.0
"""Who is seen, and gets nowhere for so long, may have stopped."""
_GETS_NOWHERE_MS = 2000.0
"""Time constant with which ways to and fro are forgotten."""
_REACH, _LEAST_REACH, _MOST_REACH = 0.1, 0.01, 0.05
"""How far a thing goes before it counts as gone on: a part of its box's longer side, within bounds; shares of
the picture."""
_JUMPS = 0.02
"""By which the middle of a box is uncertain."""
_TRAVELLED = 3
"""So many times its reach a thing has gone before it can stop."""
_SLOWED = 0.85
"""At the end it was so much slower than at its fastest in the last"""
_TRAVELS_MS = 3000.0
_LATELY_MS = 700.0
_EDGE = 0.01
"""Of the picture: who is last seen there has left it."""
_SAME_PLACE = 0.5
"""Overlap (intersection over union) of two things that can't have stopped both."""
MOST_STOPS = 64
"""In one zone; where there would be more, the oldest one is over."""


@dataclass(slots=True, eq=False)
class Stop:
    """A thing that has come to a stop.

    Attributes:
        thing: As it was last seen before it stopped.
        since: When that was.
        id: The thing's id; None where it will have another one.
        is_told: Somebody has been told of it.
        ended: When it went on; None while it stands.
    """

    thing: Thing
    since: Moment
    id: int | None
    is_told: bool = False
    ended: Moment | None = None


@dataclass(slots=True, eq=False)
class _Way:
    """What was seen of a thing that moves.

    Attributes:
        thing: As it was last seen.
        last: When that was.
        first: When it was first seen, or seen again.
        rest: Since when it has not got beyond its reach.
        place: Where its box's middle was then.
        drift: How far its own motion has brought it since then, right and up.
        travelled: How far it has gone in all.
        speeds: Of the last moments, with their times.
        stop: The stop that it has made, or that it may have ended.
        is_covered: Since it was last seen, something else was in front of it.
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
        """Takes in a look; whether it has gone on."""
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
        """Whether it has gone far enough for a stop to be one."""
        return self.travelled >= _TRAVELLED * _reach(self.thing)

    @property
    def has_slowed(self) -> bool:
        """Whether it was slower at the end than shortly before."""
        return self.thing.speed <= _SLOWED * max(speed for _, speed in self.speeds)


class Stops:
    """Follows all things of a stream, and who of them stops in one zone.

    ``update`` is called with each frame, in order.

    Attributes:
        standing: Those that have stopped and not gone on, oldest first.
    """

    def __init__(self, area: Area) -> None:
        self._area = area
        self._ways: dict[int, _Way] = {}
        self.standing: list[Stop] = []

    def update(self, things: Sequence[Thing], now: Moment, sight: Sight | None) -> None:
        """Takes in the things of the next frame.

        Args:
            things: As seen from the reference view.
            now: When it was captured.
            sight: Where that view is in the picture; None where none is followed.
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
        """Things have new ids from now on, and may have moved unseen; who was told to stand still does."""
        self._ways.clear()
        self.standing = [stop for stop in self.standing if stop.is_told]
        for stop in self.standing:
            stop.id = None

    def clear(self) -> None:
        """Nothing is known of anything any more."""
        self._ways.clear()
        self.standing = []

    def _see(self, thing: Thing, now: Moment) -> None:
        way = self._ways.get(thing.id)
        if way is None:
            way = self._ways[thing.id] = _Way(thing, now, now, now, anchor_of(thing.box, "middle"))
            way.stop = self._left_by(thing, now)
            if way.stop:  # the same thing, which goes on
                way.travelled = _TRAVELLED * _reach(thing)
        has_gone_on = way.see(thing, now)
        if way.stop and way.stop.ended is None and has_gone_on:
            self._end(way.stop, way.first if way.first > way.stop.since else now)
        if has_gone_on:
            way.stop = None

    def _left_by(self, thing: Thing, now: Moment) -> Stop | None:
        """The stop that a thing may have made that is first seen now."""
        for stop in reversed(self.standing):
            if stop.id == thing.id:
                return stop
        if any(
            _covers(way.thing, thing)
            for number, way in self._ways.items()
            if number != thing.id and _ms(way.last, now) <= _GONE_MS
        ):
            return None  # who passes before it has got another id
        return next((stop for stop in reversed(self.standing) if _covers(stop.thing, thing)), None)

    def _lose(self, way: _Way, sight: Sight | None) -> None:
        """It is out of sight: has it stopped?"""
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
    """Whether a thing's box holds the middle of another one's."""
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
