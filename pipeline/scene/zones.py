"""Geometry of zones and lines: what is inside, and on which side.

Coordinates are shares of the image; margins give hysteresis at the edges.
"""

import itertools
import math
from typing import NamedTuple

import shapely
from shapely import Polygon

from pipeline.base.moving_thing import Point, Rectangle
from pipeline.base.watched import Anchor, Line, Zone

_MARGIN = 0.01
"""Share of the image: a thing this far outside a zone has left it; this far from a line, it is on a side."""
_BACKWARD = -0.25
"""Cosine of the angle to the crossing direction below which a thing moves back. It is lenient because
directions refer to an image whose aspect ratio is not known here."""


def anchor_of(box: Rectangle, anchor: Anchor) -> Point:
    """The point of a box that represents its thing."""
    left, top, width, height = box
    return left + width / 2, top + height * (1.0 if anchor == "foot" else 0.5)


class Area:
    """A zone.

    Args:
        zone: Its corners; if edges intersect, the enclosed area counts.
    """

    def __init__(self, zone: Zone) -> None:
        self.anchor = zone.anchor
        self._shape = shapely.make_valid(Polygon(zone.points))
        self._wider = self._shape.buffer(_MARGIN)
        self._bounds, self._wider_bounds = self._shape.bounds, self._wider.bounds
        shapely.prepare((self._shape, self._wider))

    def holds(self, point: Point, was_inside: bool) -> bool:
        """Whether a point is inside; a point that was inside stays so until it is clearly outside."""
        x, y = point
        left, top, right, bottom = self._wider_bounds if was_inside else self._bounds
        if not (left <= x <= right and top <= y <= bottom):  # fast path: most points are far away
            return False
        return bool(shapely.intersects_xy(self._wider if was_inside else self._shape, x, y))


class Border:
    """A directed line; its sides are ``forward`` (to its right) and ``backward``.

    Args:
        line: Its points.
    """

    def __init__(self, line: Line) -> None:
        self.anchor = line.anchor
        self._stretches = list(itertools.pairwise(line.points))
        self._measured = [_Stretch(*stretch) for stretch in self._stretches]

    def is_forward(self, point: Point) -> bool | None:
        """Whether a point lies to the right of the line; None if on it or very near."""
        near = self._nearest(point)
        if near.distance < _MARGIN:
            return None
        x, y = near.right
        return (point[0] - near.place[0]) * x + (point[1] - near.place[1]) * y > 0

    def crosses(self, start: Point, end: Point) -> bool:
        """Whether the segment between two points intersects the line."""
        return any(
            _turn(start, end, first) * _turn(start, end, last) <= 0
            and _turn(first, last, start) * _turn(first, last, end) <= 0
            for first, last in self._stretches
        )

    def is_along(self, direction_deg: float, point: Point, forward: bool) -> bool:
        """Whether motion in a direction at a point is compatible with crossing that way."""
        x, y = self._nearest(point).right
        angle = math.radians(direction_deg)
        ahead = (math.cos(angle) * x - math.sin(angle) * y) * (1 if forward else -1)
        return ahead > _BACKWARD * math.hypot(x, y)

    def _nearest(self, point: Point) -> "_Near":
        """The nearest point of the line; at a bend, its ``right`` is the sum of those of both segments."""
        near = [stretch.near(point) for stretch in self._measured]
        distances = [distance for distance, _ in near]
        best = distances.index(min(distances))
        distance, place = near[best]
        x = y = 0.0
        for n in range(max(best - 1, 0), min(best + 2, len(near))):
            if near[n][1] == place:
                right_x, right_y = self._measured[n].right
                x, y = x + right_x, y + right_y
        return _Near(distance, place, (x, y))


class _Near(NamedTuple):
    """The point of a line nearest to a given point.

    Attributes:
        distance: Distance between the two.
        place: Position on the line.
        right: Unit vector to the line's right there, y down; longer at bends.
    """

    distance: float
    place: Point
    right: Point


class _Stretch:
    """A straight segment of a line; ``right`` has length 1."""

    def __init__(self, start: Point, end: Point) -> None:
        self._start, self._end = start, end
        self._along = along_x, along_y = end[0] - start[0], end[1] - start[1]
        length = math.hypot(along_x, along_y)
        self._square = length**2
        self.right = -along_y / length, along_x / length

    def near(self, point: Point) -> tuple[float, Point]:
        """Distance to a point, and the nearest point of the segment."""
        (x, y), (along_x, along_y) = self._start, self._along
        share = ((point[0] - x) * along_x + (point[1] - y) * along_y) / self._square
        if 0 < share < 1:
            place = x + share * along_x, y + share * along_y
        else:
            place = self._start if share <= 0 else self._end
        return math.dist(point, place), place


def _turn(start: Point, end: Point, point: Point) -> float:
    """Positive if a point lies to the right of a direction, with y down."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])
