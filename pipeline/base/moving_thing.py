"""A thing that moves: what a prediction reports about it."""

from typing import Annotated, TypeAlias

import msgspec

from pipeline.base.ranges import Count, Duration

MOST_OUTLINE_POINTS = 16
MOST_THINGS = 32
"""In one picture."""

Share: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
"""Of the picture's width (x) or height (y)."""
Point: TypeAlias = tuple[Share, Share]
"""x from the left, y from the top."""


class Thing(msgspec.Struct, kw_only=True, frozen=True):
    """Something that moves by itself, followed over frames.

    Attributes:
        id: Unique in its stream for as long as the stream's tracker lives.
        box: x and y of its upper left corner, width, height, as shares of the picture.
        outline: Corners of a polygon around it.
        speed: Against the camera, in picture widths a second.
        direction_deg: Where it goes, as in mathematics: 0 = right, 90 = up, 270 = down; under 360.
        age_ms: How long it has been followed, pauses included.
        score: How surely it moves, 0 to 1; falls while the thing is out of sight.
    """

    id: Count
    box: tuple[Share, Share, Share, Share]
    outline: Annotated[list[Point], msgspec.Meta(max_length=MOST_OUTLINE_POINTS)]
    speed: Duration
    direction_deg: Annotated[float, msgspec.Meta(ge=0.0, lt=360.0)]
    age_ms: Duration
    score: Share
