"""The position of a reference view in the current image."""

import math
from typing import Annotated, NamedTuple, TypeAlias

import msgspec

from pipeline.base.moving_thing import Point, Share, Thing, within_turn
from pipeline.base.ranges import Difference, SourceTimeNs
from pipeline.base.text import Name

_SMALLEST_SCALE, _LARGEST_SCALE = 0.4, 2.5
"""Scales at which a view can be found; a peer's rounded values may exceed them slightly."""
_ROUNDED = 2.0
MOST_OFFSET = 1e4
"""Largest offset in image widths: a view that is found overlaps the image, of aspect at most 1,000."""
Offset: TypeAlias = Annotated[float, msgspec.Meta(ge=-MOST_OFFSET, le=MOST_OFFSET)]


class Similarity(NamedTuple):
    """A similarity transform from places in a reference view to places in the image: ``z * factor + offset``.

    Places are complex numbers, x + i y in image widths, y down.

    Attributes:
        factor: Its magnitude is the scale, its angle the rotation.
        offset: Position of the view's upper left corner.
    """

    factor: complex
    offset: complex

    def __call__(self, place: complex) -> complex:
        """Maps a place from the view to the image."""
        return place * self.factor + self.offset

    def back(self, place: complex) -> complex:
        """Maps a place from the image to the view."""
        return (place - self.offset) / self.factor

    def then(self, other: "Similarity") -> "Similarity":
        """This similarity followed by the other one."""
        return Similarity(self.factor * other.factor, other(self.offset))

    def inverse(self) -> "Similarity":
        """The similarity from the image to the view."""
        return Similarity(1 / self.factor, self.back(0j))

    @property
    def is_plausible(self) -> bool:
        """Whether a view can be found at this scale and offset; False for NaN."""
        return _SMALLEST_SCALE <= abs(self.factor) <= _LARGEST_SCALE and abs(self.offset) <= MOST_OFFSET

    @property
    def angle_deg(self) -> float:
        """Angle of rotation in degrees, clockwise because y points down."""
        return math.degrees(math.atan2(self.factor.imag, self.factor.real))  # cmath.phase fails on tiny parts

    def largest_shift(self, aspect: float) -> float:
        """Largest displacement of a corner of the image, in image widths."""
        corners = (0j, 1 + 0j, 1j * aspect, 1 + 1j * aspect)
        return max(abs(self(corner) - corner) for corner in corners)


AT_HOME = Similarity(1 + 0j, 0j)
"""The image shows the reference view exactly."""
NEW_VIEW = "a new view was taken"
"""Reason for ending the events of the previous view."""


class Sight(msgspec.Struct, kw_only=True, frozen=True):
    """The reference view as found in one image.

    Attributes:
        view: Name of the view.
        taken_ns: When it was taken, on the stream's timeline; 0 for a view from an image file.
        found: Whether it was found recently; if not, the other fields are the last known values.
        share: Fraction of its places that were found.
        factor: Real and imaginary part, see ``Similarity``.
        offset: Real and imaginary part, see ``Similarity``.
        aspect: Image height / width.
    """

    view: Name
    taken_ns: SourceTimeNs = 0
    found: bool
    share: Share
    factor: tuple[Difference, Difference]
    offset: tuple[Offset, Offset]
    aspect: Annotated[float, msgspec.Meta(ge=1e-3, le=1e3)]

    def __post_init__(self) -> None:
        """Raises: ValueError: The scale is out of range."""
        if not is_scale(self.factor):
            raise ValueError(f"factor: the scale {abs(complex(*self.factor)):.3g} is out of range")

    @property
    def similarity(self) -> Similarity:
        """The similarity from the view to the image."""
        return Similarity(complex(*self.factor), complex(*self.offset))

    def in_picture(self, point: Point) -> Point:
        """Maps a point from the view to the image, both as fractions of width and height; may lie outside."""
        return self._shares(self.similarity(self._place(point)))

    def in_view(self, point: Point) -> Point:
        """Maps a point from the image to the view, both as fractions of width and height; may lie outside."""
        return self._shares(self.similarity.back(self._place(point)))

    def _place(self, point: Point) -> complex:
        return complex(point[0], point[1] * self.aspect)

    def _shares(self, place: complex) -> Point:
        return place.real, place.imag / self.aspect


def why_another(known: tuple[str, int] | None, sight: Sight) -> str:
    """Reason for ending the events of the known view; empty if it is still the current view.

    Args:
        known: Name of the view, and when it was taken.
        sight: The current sight. After a restart, a view that was saved counts as one from an image file.
    """
    if known is None or sight.view != known[0]:
        return "another view applies now"
    return "" if sight.taken_ns in (0, known[1]) else NEW_VIEW


def is_scale(factor: tuple[float, float]) -> bool:
    """Whether a view can be found at the scale of a factor, with some tolerance."""
    return _SMALLEST_SCALE / _ROUNDED <= abs(complex(*factor)) <= _LARGEST_SCALE * _ROUNDED


def seen_from_home(thing: Thing, sight: Sight) -> Thing:
    """Converts the box, speed and direction of a moving object to the reference view.

    The box may extend beyond the view. Outline, trail and past boxes stay in image coordinates.
    """
    left, top, width, height = thing.box
    x, y = sight.in_view((left + width / 2, top + height / 2))
    scale, angle_deg = abs(sight.similarity.factor), sight.similarity.angle_deg
    width, height = width / scale, height / scale
    return msgspec.structs.replace(
        thing,
        box=(x - width / 2, y - height / 2, width, height),
        speed=thing.speed / scale,
        direction_deg=within_turn(thing.direction_deg + angle_deg),
    )
