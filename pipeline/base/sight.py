"""Where a reference view is in the current image."""

import math
from typing import Annotated, NamedTuple, TypeAlias

import msgspec

from pipeline.base.moving_thing import Point, Share, Thing, within_turn
from pipeline.base.ranges import Difference, SourceTimeNs
from pipeline.base.text import Name

_SMALLEST_SCALE, _LARGEST_SCALE = 0.4, 2.5
"""Of a view that can be found again; a peer may send a little more, as rounded numbers are."""
_ROUNDED = 2.0
MOST_OFFSET = 1e4
"""Picture widths. A view that is found overlaps the picture, which is at most 1,000 times as high as wide."""
Offset: TypeAlias = Annotated[float, msgspec.Meta(ge=-MOST_OFFSET, le=MOST_OFFSET)]


class Similarity(NamedTuple):
    """A similarity from places of a reference view to places of a picture: ``z * factor + offset``.

    Places are complex numbers, x + i y in picture widths, y down.

    Attributes:
        factor: Its length is the scale, its angle the turn.
        offset: Where the view's upper left corner is.
    """

    factor: complex
    offset: complex

    def __call__(self, place: complex) -> complex:
        """Where a place of the view is in the picture."""
        return place * self.factor + self.offset

    def back(self, place: complex) -> complex:
        """Where a place of the picture is in the view."""
        return (place - self.offset) / self.factor

    def then(self, other: "Similarity") -> "Similarity":
        """This similarity, and the other one after it."""
        return Similarity(self.factor * other.factor, other(self.offset))

    def inverse(self) -> "Similarity":
        """From the picture to the view."""
        return Similarity(1 / self.factor, self.back(0j))

    @property
    def is_plausible(self) -> bool:
        """Whether a view can be found again at this scale, and so far off; never for no numbers."""
        return _SMALLEST_SCALE <= abs(self.factor) <= _LARGEST_SCALE and abs(self.offset) <= MOST_OFFSET

    @property
    def angle_deg(self) -> float:
        """Of its turn, clockwise as y goes down."""
        return math.degrees(math.atan2(self.factor.imag, self.factor.real))  # cmath.phase fails on tiny parts

    def largest_shift(self, aspect: float) -> float:
        """How far it moves a corner of the picture at most, in picture widths."""
        corners = (0j, 1 + 0j, 1j * aspect, 1 + 1j * aspect)
        return max(abs(self(corner) - corner) for corner in corners)


AT_HOME = Similarity(1 + 0j, 0j)
"""The picture shows the view as it was."""
NEW_VIEW = "a new view was taken"
"""Why what was seen from the former one has ended."""


class Sight(msgspec.Struct, kw_only=True, frozen=True):
    """What is known of the reference view in one picture.

    Attributes:
        view: Name of the view.
        taken_ns: When it was taken, on the stream's timeline; 0 for one from a picture.
        found: Whether it was found lately; else the rest is what was known last.
        share: Of its places, those that were found again.
        factor: Real and imaginary part, see ``Similarity``.
        offset: Likewise.
        aspect: Height of the picture / its width.
    """

    view: Name
    taken_ns: SourceTimeNs = 0
    found: bool
    share: Share
    factor: tuple[Difference, Difference]
    offset: tuple[Offset, Offset]
    aspect: Annotated[float, msgspec.Meta(ge=1e-3, le=1e3)]

    def __post_init__(self) -> None:
        """Raises: ValueError: A scale that no view is found at."""
        if not is_scale(self.factor):
            raise ValueError(f"factor: a scale of {abs(complex(*self.factor)):.3g}")

    @property
    def similarity(self) -> Similarity:
        """From the view to the picture."""
        return Similarity(complex(*self.factor), complex(*self.offset))

    def in_picture(self, point: Point) -> Point:
        """Where a point of the view is in the picture, both as shares of it; may lie outside."""
        return self._shares(self.similarity(self._place(point)))

    def in_view(self, point: Point) -> Point:
        """Where a point of the picture is in the view, likewise."""
        return self._shares(self.similarity.back(self._place(point)))

    def _place(self, point: Point) -> complex:
        return complex(point[0], point[1] * self.aspect)

    def _shares(self, place: complex) -> Point:
        return place.real, place.imag / self.aspect


def why_another(known: tuple[str, int] | None, sight: Sight) -> str:
    """Why what was seen from one view is over, in words; empty if that view still counts.

    Args:
        known: Name of the view, and when it was taken.
        sight: What is seen now. A view that was kept is one from a picture after a restart.
    """
    if known is None or sight.view != known[0]:
        return "another view applies now"
    return "" if sight.taken_ns in (0, known[1]) else NEW_VIEW


def is_scale(factor: tuple[float, float]) -> bool:
    """Whether a factor is one of a view that can be found, or nearly."""
    return _SMALLEST_SCALE / _ROUNDED <= abs(complex(*factor)) <= _LARGEST_SCALE * _ROUNDED


def seen_from_home(thing: Thing, sight: Sight) -> Thing:
    """A thing as it would be if the camera looked as in the reference view: box, speed and direction.

    Its box may reach beyond the view. Outline, trail and past places stay those of the picture.
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
