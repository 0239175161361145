"""Moves zones, lines and ground to the image that replaces their reference view."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import msgspec
import shapely
from shapely import LineString, Polygon

from pipeline.base.known_ground import Ground
from pipeline.base.moving_thing import Point
from pipeline.base.sight import Sight
from pipeline.base.watched import Line, Watch, Zone

_PICTURE = shapely.box(0.0, 0.0, 1.0, 1.0)
_DIGITS = 4
_LEAST_AREA, _LEAST_LENGTH = 1e-3, 0.02
"""Minimum area of a zone and length of a line, as shares of the image; a smaller rest counts as outside."""
_MOST_POINTS = 64
Place: TypeAlias = Zone | Line | Ground
"""Anything drawn in a view."""


class Carried(NamedTuple):
    """What a stream watches after its reference view was replaced.

    Attributes:
        watch: The watch of all streams.
        moved: Names of what was moved, such as ``zones.drive``.
        left: Names of what lies outside the new view and was left unchanged.
    """

    watch: Watch
    moved: list[str]
    left: list[str]


def places_of(watch: Watch, stream_id: str, view: str) -> dict[str, Place]:
    """Everything drawn in a view of a stream, by names such as ``zones.drive``."""
    first = next(iter(watch.views_of(stream_id)), view)
    return {
        f"{kind}.{name}": place
        for kind in ("zones", "lines", "ground")
        for name, place in getattr(watch, kind).items()
        if place.is_in(stream_id) and (place.view or first) == view
    }


def carry(watch: Watch, stream_id: str, sight: Sight) -> Carried:
    """Moves everything drawn in a stream's current view to the image that replaces the view.

    Shapes are clipped at the edge of the image. If the view was not found, nothing is moved.

    Args:
        watch: Zones, lines, rules, views and ground of all streams.
        stream_id: The stream.
        sight: Position of the view in the image that replaces it.
    """
    moved: dict[str, Place] = {}
    left = []
    for name, place in places_of(watch, stream_id, sight.view).items() if sight.found else ():
        there = _carried(place, sight)
        if there is None:
            left.append(name)
        elif there != place:
            moved[name] = there
    changed = {
        kind: {name: moved.get(f"{kind}.{name}", place) for name, place in getattr(watch, kind).items()}
        for kind in ("zones", "lines", "ground")
    }
    return Carried(msgspec.structs.replace(watch, **changed), list(moved), left)


def _carried(place: Place, sight: Sight) -> Place | None:
    """The zone, line or ground in the new image; None if it lies outside or is invalid there."""
    try:
        if isinstance(place, Ground):
            return _carried_ground(place, sight)
        there = [sight.in_picture(point) for point in place.points]
        points = _cut_zone(there) if isinstance(place, Zone) else _cut_line(there)
        return msgspec.structs.replace(place, points=points) if 0 < len(points) <= _MOST_POINTS else None
    except ValueError:  # its points are collinear, or it is too short
        return None


def _carried_ground(ground: Ground, sight: Sight) -> Ground | None:
    """The ground in the new image; None if a part lies outside, because clipping would change its lengths."""
    points = [_rounded(sight.in_picture(point)) for point in ground.points]
    segment = [_rounded(sight.in_picture(point)) for point in ground.segment]
    if not all(0 <= value <= 1 for point in (*points, *segment) for value in point):
        return None
    return msgspec.structs.replace(ground, points=points, segment=segment)


def _cut_zone(points: Sequence[Point]) -> list[Point]:
    """The largest part of a zone that lies in the image."""
    if all(0 <= value <= 1 for point in points for value in point):
        return [_rounded(point) for point in points]
    cut = shapely.make_valid(Polygon(points)).intersection(_PICTURE)
    parts = [part for part in shapely.get_parts(cut) if isinstance(part, Polygon)]
    largest = max(parts, key=lambda part: part.area, default=Polygon())
    if largest.area < _LEAST_AREA:
        return []
    return _unlike_the_next([_rounded(point) for point in largest.exterior.coords[:-1]])


def _cut_line(points: Sequence[Point]) -> list[Point]:
    """The longest part of a line that lies in the image, with its direction kept."""
    line = LineString(points)
    parts = [part for part in shapely.get_parts(line.intersection(_PICTURE)) if isinstance(part, LineString)]
    longest = max(parts, key=lambda part: part.length, default=LineString())
    if longest.length < _LEAST_LENGTH:
        return []
    ends = [line.project(shapely.Point(longest.coords[end])) for end in (0, -1)]
    kept = longest.coords if ends[0] <= ends[1] else longest.coords[::-1]
    return _unlike_the_next([_rounded(point) for point in kept])


def _unlike_the_next(points: list[Point]) -> list[Point]:
    return [point for point, after in zip(points, [*points[1:], None], strict=True) if point != after]


def _rounded(point: Sequence[float]) -> Point:
    return round(point[0], _DIGITS) + 0.0, round(point[1], _DIGITS) + 0.0
