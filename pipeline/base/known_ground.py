"""Known lengths on the ground: four points, or one object of known length."""

import math
from typing import Annotated, TypeAlias

import msgspec

from pipeline.base.moving_thing import Point
from pipeline.base.plane import Pair, check_quadrangle, corners_of
from pipeline.base.text import Name, StreamId

Metres: TypeAlias = Annotated[float, msgspec.Meta(ge=-100_000.0, le=100_000.0)]
Length: TypeAlias = Annotated[float, msgspec.Meta(ge=0.01, le=100_000.0)]
"""Metres."""
Pixels: TypeAlias = Annotated[int, msgspec.Meta(ge=16, le=65_536)]

_ENTRIES = {"points": (4, 4), "metres": (4, 4), "distances_m": (5, 6), "segment": (2, 2)}
"""Smallest and largest length of each list; an empty one (as in GET /api/zones) counts as a missing key."""


class Ground(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Known lengths on the ground, from which speeds in metres per second are calculated.

    Either four points of the ground, or one object of known length.

    Attributes:
        size: Width and height, in pixels, of the image in which the points were measured.
        points: Four points of the ground, in order around the quadrangle, as fractions of the image.
        metres: Coordinates of the four points on the ground, in metres.
        distances_m: Instead of ``metres``, the distances between points 1-2, 2-3, 3-4, 4-1, 1-3, and
            optionally 2-4 as a check.
        segment: Both ends of an object that lies across the view, as fractions of the image.
        length_m: Length of the segment, in metres.
        click_px: Standard error of each point, in pixels of ``size``.
        view: The reference view in which the points were measured; None: the first view of the stream.
        streams: Only these streams; empty: all streams.
    """

    size: tuple[Pixels, Pixels]
    points: list[Point] = []
    metres: list[tuple[Metres, Metres]] = []
    distances_m: list[Length] = []
    segment: list[Point] = []
    length_m: Length | None = None
    click_px: Annotated[float, msgspec.Meta(ge=0.1, le=100.0)] = 3.0
    view: Name | None = None
    streams: list[StreamId] = []

    def __post_init__(self) -> None:
        """Raises: ValueError: Keys are missing or conflict, or the points can't lie on one plane."""
        for key, (least, most) in _ENTRIES.items():
            if (entries := len(getattr(self, key))) and not least <= entries <= most:
                span = f"{least}" if least == most else f"{least} to {most}"
                raise ValueError(f"{key}: must be a list of {span} entries")
        if bool(self.points) == bool(self.segment):
            raise ValueError("give either points, with metres or distances_m, or segment with length_m")
        if self.segment:
            if self.metres or self.distances_m or self.length_m is None:
                raise ValueError("segment: give its length as length_m, and leave out metres and distances_m")
            if math.dist(*self.in_widths(self.segment)) <= 4 * self.click_widths:
                raise ValueError("segment: too short for a measurement: choose a longer object")
            return
        if self.length_m is not None or bool(self.metres) == bool(self.distances_m):
            raise ValueError("points: give either metres or distances_m with them, and leave out length_m")
        check_quadrangle(self.in_widths(self.points), self.corners_m, self.click_widths)

    def is_in(self, stream_id: str) -> bool:
        """Whether it applies to a stream."""
        return stream_id in self.streams or not self.streams

    @property
    def aspect(self) -> float:
        """Image height / width."""
        return self.size[1] / self.size[0]

    @property
    def click_widths(self) -> float:
        """Standard error of a point, in image widths."""
        return self.click_px / self.size[0]

    @property
    def corners_m(self) -> list[Pair]:
        """Positions of the four points on the ground, in metres."""
        return [*self.metres] or corners_of(self.distances_m)

    def in_widths(self, points: list[Point]) -> list[Pair]:
        """Converts points to image widths, y down."""
        return [(x, y * self.aspect) for x, y in points]
