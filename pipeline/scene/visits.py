"""Visits to a zone: which objects are in it, since when, and how they entered and left."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.base.event import Moment
from pipeline.base.moving_thing import Point, Thing
from pipeline.scene.presence import Presence
from pipeline.scene.tracks import REMEMBERED_MS, SHOWN_AFTER_MS
from pipeline.scene.zones import Area, anchor_of

_WAY_MS = 400.0
"""Time over which a thing's path is measured, and by which it is extrapolated."""
_WAVERS = 0.05
"""Jitter of a box, as a share of the image; a larger displacement may be a jump, see ``_TRUSTED``."""
_BELIEVED_AFTER_MS = 700.0
"""A box that has jumped across a zone's border, for example where things meet or are hidden, must stay on the
other side for this long before it counts as a passage."""
_IN_PLACE = 0.008
"""Image widths per second: a thing that is never faster is swaying and crosses no border."""
_TRUSTED = 2.0
"""Largest plausible displacement as a multiple of speed times time; 2 because a distance is up to twice as
large in shares of the image's height as in widths. A larger one is a jump of the box, for example when more
or less of a standing person moves."""


@dataclass(slots=True)
class Visit:
    """A tracked thing and its relation to a zone.

    Attributes:
        thing: As it was last seen.
        last: When it was last seen.
        presence: Whether it is inside.
        way: Recent times, positions and speeds, oldest first.
        entered: When it entered or was first seen inside; None while it is outside.
        was_outside: Whether it has been seen outside.
        doubted: Time of its box's jump across the border, and its speed then in image widths per second;
            None without a jump.
    """

    thing: Thing
    last: Moment
    presence: Presence
    way: deque[tuple[int, Point, float]] = field(default_factory=deque)
    entered: Moment | None = None
    was_outside: bool = False
    doubted: tuple[Moment, float] | None = None

    def note(self, thing: Thing, point: Point, now: Moment) -> None:
        """Processes an observation."""
        self.thing, self.last = thing, now
        self.way.append((now.time_ns, point, thing.speed))
        while len(self.way) > 2 and (now.time_ns - self.way[1][0]) / 1e6 >= _WAY_MS:
            self.way.popleft()

    def before(self) -> Point:
        """Position shortly before it was first seen, extrapolated from its path."""
        (_, (x, y), _), (dx, dy) = self.way[0], self._step()
        return x - dx, y - dy

    def after(self) -> Point:
        """Position shortly after it was last seen, extrapolated from its path."""
        (_, (x, y), _), (dx, dy) = self.way[-1], self._step()
        return x + dx, y + dy

    @property
    def fastest(self) -> float:
        """Its highest recent speed."""
        return max(speed for _, _, speed in self.way)

    @property
    def has_jumped(self) -> bool:
        """Whether its box has recently moved further than the thing can have moved."""
        (began_ns, start, _), (ended_ns, end, _) = self.way[0], self.way[-1]
        return math.dist(start, end) > _TRUSTED * self.fastest * (ended_ns - began_ns) / 1e9 + _WAVERS

    def _step(self) -> Point:
        (began_ns, start, _), (ended_ns, end, _) = self.way[0], self.way[-1]
        if ended_ns == began_ns or start == end:
            return 0.0, 0.0
        most = _TRUSTED * self.fastest * _WAY_MS / 1000
        share = min(_WAY_MS * 1e6 / (ended_ns - began_ns), most / math.dist(start, end))
        return (end[0] - start[0]) * share, (end[1] - start[1]) * share


@dataclass(frozen=True, slots=True)
class Passage:
    """A thing has entered a zone, or left it.

    Attributes:
        thing: As it was when the passage was confirmed.
        at: When it happened.
        for_s: How long it was inside, if it left.
    """

    thing: Thing
    at: Moment
    for_s: float | None = None


class Visits:
    """Follows all things of a stream through one zone; call ``update`` with each frame, in order.

    Attributes:
        inside: Things inside, by id; for a while also those out of sight.
        entered: Things that entered with the last frame, from outside the zone or the image.
        left: Things that left with the last frame. A thing that stops or starts moving inside is in
            neither list.
    """

    def __init__(self, area: Area) -> None:
        self._area = area
        self._visits: dict[int, Visit] = {}
        self.inside: dict[int, Visit] = {}
        self.entered: list[Passage] = []
        self.left: list[Passage] = []

    def update(self, things: Sequence[Thing], now: Moment) -> None:
        """Processes the things of the next frame."""
        self.entered, self.left = [], []
        for thing in things:
            self._see(thing, now)
        for number, visit in list(self._visits.items()):
            if (now.time_ns - visit.last.time_ns) / 1e6 > REMEMBERED_MS + SHOWN_AFTER_MS:
                del self._visits[number]
                goes = visit.fastest > _IN_PLACE and not visit.doubted
                if visit.entered and goes and not self._is_inside(visit.after()):
                    self._leave(visit, visit.entered, visit.last)
        self.inside = {number: visit for number, visit in self._visits.items() if visit.entered}

    def forget(self) -> None:
        """Forgets all things without reporting them as having left."""
        self._visits.clear()
        self.inside = {}

    def _see(self, thing: Thing, now: Moment) -> None:
        point = anchor_of(thing.box, self._area.anchor)
        visit = self._visits.get(thing.id)
        if visit is None:
            visit = self._visits[thing.id] = Visit(thing, now, Presence(False, now))
        visit.note(thing, point, now)
        is_inside = self._area.holds(point, visit.presence.holds)
        visit.was_outside |= not is_inside
        if visit.presence.see(is_inside, now):
            if visit.doubted:  # it is back on its old side
                visit.doubted = None
            elif visit.has_jumped or visit.fastest <= _IN_PLACE:
                visit.doubted = visit.presence.since, visit.fastest
            else:
                self._pass(visit, visit.presence.since)
        elif visit.doubted and (now.time_ns - visit.doubted[0].time_ns) / 1e6 >= _BELIEVED_AFTER_MS:
            (at, came_at), visit.doubted = visit.doubted, None
            self._pass(visit, at, is_told=max(came_at, visit.fastest) > _IN_PLACE)

    def _pass(self, visit: Visit, at: Moment, *, is_told: bool = True) -> None:
        """Processes a passage into or out of the zone."""
        if visit.entered:
            if is_told:
                self._leave(visit, visit.entered, at)
            visit.entered = None
            return
        visit.entered = at
        if is_told and (visit.was_outside or not self._is_inside(visit.before())):
            self.entered.append(Passage(visit.thing, at))

    def _is_inside(self, point: Point) -> bool:
        return all(0.0 < share < 1.0 for share in point) and self._area.holds(point, was_inside=False)

    def _leave(self, visit: Visit, entered: Moment, at: Moment) -> None:
        self.left.append(Passage(visit.thing, at, (at.time_ns - entered.time_ns) / 1e9))
