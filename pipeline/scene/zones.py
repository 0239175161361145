"""Zones and lines as geometry: what is in a zone, and on which side of a line.

Coordinates are shares of the picture; margins keep what wavers at an edge from flickering.
"""

import itertools
import math

import numpy as np
import shapely
from shapely import LineString, Polygon
from shapely import Point as Place

from pipeline.base.moving_thing import Point, Rectangle
from pipeline.base.watched import Anchor, Line, Zone

_MARGIN = 0.01
"""Share of the picture by which a thing has to be outside a zone to have left it, or beyond a line."""
_BACKWARD = -0.25
"""Cosine of the angle to the way across, below which somebody goes back; directions are of a picture whose
aspect is not known here, so that they are not exact."""


def anchor_of(box: Rectangle, anchor: Anchor) -> Point:
    """The point of a box that says where its thing is."""
    left, top, width, height = box
    return left + width / 2, top + height * (1.0 if anchor == "foot" else 0.5)


class Area:
    """A zone.

    Args:
        zone: Its corners; where edges cross each other, what they enclose counts.
    """

    def __init__(self, zone: Zone) -> None:
        self.anchor = zone.anchor
        self._shape = shapely.make_valid(Polygon(zone.points))
        self._wider = self._shape.buffer(_MARGIN)
        shapely.prepare((self._shape, self._wider))

    def holds(self, point: Point, was_inside: bool) -> bool:
        """Whether a point is inside; one that was stays so until it is clearly outside."""
        shape = self._wider if was_inside else self._shape
        return bool(shape.intersects(Place(point)))


class Border:
    """A directed line; its sides are ``forward`` (to its right) and ``backward``.

    Args:
        line: Its points.
    """

    def __init__(self, line: Line) -> None:
        self.anchor = line.anchor
        self._points = line.points
        self._shape = LineString(line.points)

    def is_forward(self, point: Point) -> bool | None:
        """Whether a point lies on the line's right; None on the line, or nearly."""
        place = Place(point)
        if self._shape.distance(place) < _MARGIN:
            return None
        return self._side(point) > 0

    def crosses(self, start: Point, end: Point) -> bool:
        """Whether the way from one point to another goes through the line, and not past its ends."""
        return bool(self._shape.intersects(LineString([start, end])))

    def is_along(self, direction_deg: float, point: Point, forward: bool) -> bool:
        """Whether who goes in a direction at a point may be on the way across, and not on the way back."""
        (x, y), (end_x, end_y) = self._nearest(point)
        across = np.array([y - end_y, end_x - x]) * (1 if forward else -1)
        angle = math.radians(direction_deg)
        ahead = np.array([math.cos(angle), -math.sin(angle)])
        return float(ahead @ across) > _BACKWARD * float(np.hypot(*across))

    def _side(self, point: Point) -> float:
        """Above 0 to the right of the stretch that is nearest, with y down."""
        (x, y), (end_x, end_y) = self._nearest(point)
        return (end_x - x) * (point[1] - y) - (end_y - y) * (point[0] - x)

    def _nearest(self, point: Point) -> tuple[Point, Point]:
        """The stretch that is nearest to a point."""
        stretches = list(itertools.pairwise(self._points))
        return min(stretches, key=lambda ends: LineString(ends).distance(Place(point)))
