"""A moving object in a prediction, and its ground truth if available."""

from typing import Annotated, TypeAlias

import msgspec

from pipeline.base.ranges import Count, Duration

MOST_OUTLINE_POINTS = 16
MOST_TRAIL_POINTS = 16
MOST_THINGS = 32
"""Largest number of moving objects in one frame."""

Share: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
"""Fraction of the image width (x) or height (y)."""
Point: TypeAlias = tuple[Share, Share]
"""x from the left, y from the top."""

Rectangle: TypeAlias = tuple[Share, Share, Share, Share]
"""x and y of the upper left corner, width, height."""


class Thing(msgspec.Struct, kw_only=True, frozen=True, gc=False):  # 90,000 per hour, no reference cycles
    """An independently moving object, tracked across frames.

    Attributes:
        id: Unique within its stream for the lifetime of the stream's tracker.
        box: Bounding box.
        outline: Corners of a polygon around it.
        speed: Speed with the camera's motion removed, in image widths per second.
        direction_deg: Direction, anticlockwise: 0 = right, 90 = up, 270 = down; below 360.
        age_ms: Time since it was first tracked, pauses included.
        score: Confidence that it moves, 0 to 1; decays while the object is out of sight.
        trail: Smoothed positions of its centre over the last few seconds, oldest first; each point stays at
            its place in the scene when the camera moves.
        was: Bounding boxes in the past frames that the prediction used, oldest first; empty while out of
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
    """Ground truth of a moving object, to evaluate ``Thing`` objects against.

    Attributes:
        box: Bounding box of its visible part, as in ``Thing``.
        speed: As in ``Thing``.
        direction_deg: As in ``Thing``.
        is_sure: Whether it counts for recall. False for an object that has just started, has just stopped or
            is barely visible: detecting it is neither required nor an error.
    """

    box: Rectangle
    speed: Duration
    direction_deg: Annotated[float, msgspec.Meta(ge=0.0, lt=360.0)]
    is_sure: bool = True


def within_turn(degrees: float) -> float:
    """Normalises a direction to 0 <= degrees < 360."""
    return degrees % 360.0 % 360.0  # -1e-20 % 360.0 is 360.0
