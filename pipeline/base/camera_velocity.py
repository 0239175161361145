"""The camera's motion in a prediction."""

from typing import Annotated

import msgspec

from pipeline.base.ranges import Difference, Duration


class CameraMotion(msgspec.Struct, kw_only=True, frozen=True):
    """How the camera moves, found from what stands still.

    Attributes:
        speed: How fast it pans and tilts, in picture widths a second.
        direction_deg: Where it turns: 0 = right (the content goes left), 90 = up; under 360.
        zoom: How fast it zooms in: natural logarithm of the scale, a second; below 0 it zooms out.
        roll_deg: How fast it rolls, in degrees a second, anticlockwise.
        shake: How fast it goes to and fro without getting anywhere, in picture widths a second.
    """

    speed: Duration
    direction_deg: Annotated[float, msgspec.Meta(ge=0.0, lt=360.0)]
    zoom: Difference
    roll_deg: Difference
    shake: Duration
