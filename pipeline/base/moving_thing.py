"""A moving object in a prediction, and its ground truth if there is one."""

from typing import Annotated, TypeAlias

import msgspec

from pipeline.base.ranges import Count, Duration

MOST_OUTLINE_POINTS = 16
MOST_TRAIL_POINTS = 16
MOST_THINGS = 32
"""In one picture."""

Share: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
"""Of the picture's width (x) or height (y)."""
Point: TypeAlias = tuple[Share, Share]
"""x from the left, y from the top."""

Rectangle: TypeAlias = tuple[Share, Share, Share, Share]
"""x and y of the upper left corner, width, height."""


class Thing(msgspec.Struct, kw_only=True, frozen=True, gc=False):  # an hour has 90,000, none in a circle
    """Something that moves by itself, followed over frames.

    Attributes:
        id: Unique in its stream for as long as the stream's tracker lives.
        box: What it fills.
        outline: Corners of a polygon around it.
        speed: Against the camera, in picture widths a second.
        direction_deg: Where it goes, as in mathematics: 0 = right, 90 = up, 270 = down; under 360.
        age_ms: How long it has been followed, pauses included.
        score: How surely it moves, 0 to 1; falls while the thing is out of sight.
        trail: Where its middle was in the last seconds, smoothed, oldest first; each point stays at its
            place in the scene when the camera moves.
        was: What it filled in each past frame that the prediction looked at, oldest first; empty while out of
            sight.
    """

    id: Count
    box: Rectangle
    outline: Annotated[list[Point], msgspec.Meta(max_length=MOST_OUTLINE_POINTS)]
    speed: Duration
    direction_deg: Annotated[float, msgspec.Meta(ge=0.0, lt=360.0)]
    age_ms: Duration
    score: Share
    trail: Annotated[list[Point], msgspec.Meta(max_length=MOST_TRAIL_POINTS)] = []
    was: Annotated[list[Rectangle], msgspec.Meta(max_length=64)] = []


class Mover(msgspec.Struct, kw_only=True, frozen=True):
    """Something that is known to move by itself: the truth that things are compared with.

    Attributes:
        box: Of what is visible of it, as that of a thing.
        speed: As that of a thing.
        direction_deg: As that of a thing.
        is_sure: It has to be found. Nobody has to find what has just begun to move, or is hardly in the
            picture; what has just stopped may still be found.
    """

    box: Rectangle
    speed: Duration
    direction_deg: Annotated[float, msgspec.Meta(ge=0.0, lt=360.0)]
    is_sure: bool = True


def within_turn(degrees: float) -> float:
    """The same direction, from 0 to under 360."""
    return degrees % 360.0 % 360.0  # the remainder of a number just below 0 is 360.0 itself
