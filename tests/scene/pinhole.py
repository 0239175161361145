"""A camera without lens errors over flat ground: where in its picture things on the ground are, and go."""

import cmath
import math
from dataclasses import dataclass

from pipeline.base.moving_thing import Thing, within_turn

_MOMENT_S = 1e-4


@dataclass(frozen=True)
class Pinhole:
    """Looks down at the ground; x on the ground is to its right, y ahead, both in metres from below it.

    Attributes:
        height_m: Above the ground.
        down_deg: Angle below the horizon at which the middle of its picture is.
        focal: In picture widths.
        aspect: Height of its picture / its width.
    """

    height_m: float = 5.0
    down_deg: float = 30.0
    focal: float = 0.9
    aspect: float = 9 / 16

    def place(self, x: float, y: float) -> complex:
        """Where a point of the ground is in the picture, in widths, y down; behind the camera too."""
        sine, cosine = math.sin(math.radians(self.down_deg)), math.cos(math.radians(self.down_deg))
        below, ahead = cosine * self.height_m - sine * y, sine * self.height_m + cosine * y
        return complex(0.5 + self.focal * x / ahead, self.aspect / 2 + self.focal * below / ahead)

    def ground(self, place: complex) -> tuple[float, float] | None:
        """The point of the ground at a place of the picture; None at the horizon and above it."""
        sine, cosine = math.sin(math.radians(self.down_deg)), math.cos(math.radians(self.down_deg))
        across, under = (place.real - 0.5) / self.focal, (place.imag - self.aspect / 2) / self.focal
        falls = sine + cosine * under
        if falls <= 1e-6:
            return None
        reach = self.height_m / falls
        return across * reach, (cosine - sine * under) * reach

    def share(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the ground is, in shares of the picture."""
        place = self.place(x, y)
        return place.real, place.imag / self.aspect

    def velocity(self, x: float, y: float, dx: float, dy: float) -> complex:
        """How what goes with ``dx, dy`` metres a second moves in the picture, in widths a second, y down."""
        ahead, behind = (self.place(x + way * dx, y + way * dy) for way in (_MOMENT_S, -_MOMENT_S))
        return (ahead - behind) / (2 * _MOMENT_S)

    def seen(self, foot: complex, velocity: complex, side: float = 0.05) -> Thing:
        """A thing as a tracker reports it, with its foot at a place and a velocity in the picture."""
        return Thing(
            id=1,
            box=(foot.real - side / 2, foot.imag / self.aspect - side, side, side),
            outline=[],
            speed=abs(velocity),
            direction_deg=within_turn(-math.degrees(cmath.phase(velocity))),
            age_ms=0.0,
            score=0.9,
        )
