"""The camera's motion in a prediction."""

from typing import Annotated

import msgspec

from pipeline.base.ranges import Difference, Duration


class CameraMotion(msgspec.Struct, kw_only=True, frozen=True):
    """The camera's motion, estimated from the static background.

    Attributes:
        speed: Combined speed of pan and tilt, in image widths per second.
        direction_deg: Direction of pan and tilt: 0 = right (the content moves left), 90 = up; below 360.
        zoom: Zoom rate: natural logarithm of the scale per second; negative when zooming out.
        roll_deg: Roll rate in degrees per second; positive when the camera rolls anticlockwise.
        shake: Speed of back-and-forth motion without net displacement, in image widths per second.
    """

    speed: Duration
    direction_deg: Annotated[float, msgspec.Meta(ge=0.0, lt=360.0)]
    zoom: Difference
    roll_deg: Difference
    shake: Duration
