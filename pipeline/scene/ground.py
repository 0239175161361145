"""Converts speeds in the image to metres per second on the ground, with an error.

The error is propagated from the uncertain inputs: the clicked points, the position of the thing's foot, and
its measured velocity. A speed whose error is as large as the speed itself is not reported.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np
import shapely
from shapely import MultiPoint, affinity

from pipeline.base.known_ground import Ground
from pipeline.base.moving_thing import Thing
from pipeline.base.plane import Array, homography
from pipeline.scene.zones import anchor_of

VELOCITY_ERROR = 0.157 / 1.1774
"""Standard error of each velocity component as a share of the speed: the median total error is 0.157 (cars;
docs/model_card.md), and the median length of a vector with two normal components is 1.1774 standard
deviations."""
FOOT_ERROR = 4 / 192
"""Standard error of a foot in image widths: one place (4 px) at the network's default width of 192 px."""
_STATED = 2.0
"""The stated error is this many standard errors, which covers 95 % of cases."""
_REACH = 2.0
"""The four points are extrapolated to an area this many times as wide and high."""
_STEEPEST = 4.0
"""Maximum foreshortening of lengths in depth: the camera must look down by at least 15 degrees."""


class GroundSpeed(NamedTuple):
    """Speed of a thing on the ground.

    Attributes:
        m_s: Metres per second.
        error: Half-width of the 95 % interval.
    """

    m_s: float
    error: float


class _Known(Protocol):
    def of(self, foot: complex, velocity: complex) -> GroundSpeed | None:
        """Speed of a thing from its foot and velocity, both in widths with y down."""


class GroundSpeeds:
    """Speeds, in metres per second, of the things of one view.

    Args:
        grounds: What is known about the ground in that view.
    """

    def __init__(self, grounds: Iterable[Ground]) -> None:
        self.know(grounds)

    def know(self, grounds: Iterable[Ground]) -> None:
        """Replaces what is known about the ground."""
        self._known = [(ground.aspect, _known(ground)) for ground in grounds]

    def of(self, thing: Thing) -> GroundSpeed | None:
        """Speed of a thing as seen from the reference view; with several grounds, the most accurate.

        Returns:
            None if no ground is known, or if the thing is beyond the horizon or far from the measured area.
        """
        (x, y), angle = anchor_of(thing.box, "foot"), math.radians(thing.direction_deg)
        velocity = thing.speed * complex(math.cos(angle), -math.sin(angle))
        found = (known.of(complex(x, y * aspect), velocity) for aspect, known in self._known)
        return min((one for one in found if one), key=lambda one: one.error, default=None)


def _known(ground: Ground) -> _Known:
    return _Quadrangle(ground) if ground.points else _Segment(ground)


class _Quadrangle:
    """Four points of the ground.

    Each row of the tables is one case: no error, then each unknown shifted by one standard error either way.
    """

    def __init__(self, ground: Ground) -> None:
        places = np.array(ground.in_widths(ground.points))
        self._middle = places.mean(axis=0)
        hull = MultiPoint(places).convex_hull
        self._near = affinity.scale(hull, _REACH, _REACH, origin=tuple(self._middle))
        shapely.prepare(self._near)
        clicks = _off(8) * ground.click_widths
        moved = places - self._middle + np.concatenate([clicks, np.zeros((8, 8))]).reshape(-1, 4, 2)
        self._matrices = homography(moved, ground.corners_m)
        self._feet, self._turns = np.zeros((25, 2)), np.zeros((25, 2))
        self._feet[17:21], self._turns[21:25] = _off(2)[1:] * FOOT_ERROR, _off(2)[1:] * VELOCITY_ERROR

    def of(self, foot: complex, velocity: complex) -> GroundSpeed | None:
        if not shapely.intersects_xy(self._near, foot.real, foot.imag):
            return None
        places = np.ones((25, 3, 1))
        places[:, :2, 0] = np.array([foot.real, foot.imag]) - self._middle + self._feet
        across, along, weights = (self._matrices @ places)[:, :, 0].T
        if (weights <= 0).any():
            return None
        ways = np.zeros((25, 3, 1))
        ways[:, :2, 0] = np.array([velocity.real, velocity.imag]) + abs(velocity) * self._turns
        slopes = (self._matrices @ ways)[:, :, 0].T
        speeds = (
            np.hypot(slopes[0] - across / weights * slopes[2], slopes[1] - along / weights * slopes[2])
            / weights
        )
        offs = (speeds[1::2] - speeds[2::2]) / 2
        return _stated(float(speeds[0]), float(np.sqrt((offs**2).sum())))


class _Segment:
    """One object of known length; ``row`` is the distance of its lower end from the top edge of the image.

    The orientation of the ground is unknown, so the scale at the object's depth is used for the whole image.
    Away from that depth the error grows as if the horizon were halfway between that end and the top edge.
    """

    def __init__(self, ground: Ground) -> None:
        ends = ground.in_widths(ground.segment)
        assert ground.length_m is not None
        length = math.dist(*ends)
        self._metres = ground.length_m / length
        self._row = max(y for _, y in ends)
        self._length_error = math.sqrt(2.0) * ground.click_widths / length

    def of(self, foot: complex, velocity: complex) -> GroundSpeed | None:
        speed = abs(velocity)
        if not self._row or not speed:
            return None
        in_depth = (velocity.imag / speed) ** 2
        longest = math.sqrt(1.0 + (_STEEPEST**2 - 1.0) * in_depth)
        parts = (
            VELOCITY_ERROR,
            self._length_error,
            math.hypot(foot.imag - self._row, FOOT_ERROR) / (self._row / 2),
            (longest - 1.0) / _STATED,
        )
        m_s = speed * self._metres
        return _stated(m_s, m_s * math.hypot(*parts))


def _off(unknowns: int) -> Array:
    """A row of zeros, then two rows per unknown: one shifts it by 1, the other by -1."""
    one = np.eye(unknowns)
    return np.concatenate([np.zeros((1, unknowns)), np.stack([one, -one], 1).reshape(-1, unknowns)])


def _stated(m_s: float, standard_error: float) -> GroundSpeed | None:
    error = _STATED * standard_error
    return GroundSpeed(m_s, error) if error < m_s else None
