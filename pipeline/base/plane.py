"""The ground plane of a camera: maps places in the image to metres on the ground.

Places in the image are x and y in image widths, y down.
"""

import itertools
import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Pair: TypeAlias = tuple[float, float]
Array: TypeAlias = npt.NDArray[np.float64]

_THIN = 1e-3
"""A triangle on the ground is degenerate if its height is at most this fraction of its longest side."""
_TAPE = 0.05
"""Relative tolerance between a sixth distance and the value implied by the other five."""


def corners_of(distances: Sequence[float]) -> list[Pair]:
    """Corners of a quadrangle on the ground, in metres.

    Args:
        distances: Its sides from corner 1 to 2, 2 to 3, 3 to 4, 4 to 1, and its diagonal from 1 to 3, which
            lies inside it; an optional sixth, from 2 to 4, is checked against the others.

    Raises:
        ValueError: There is no such quadrangle.
    """
    first, second, third, fourth, diagonal = distances[:5]
    corners = [
        (0.0, 0.0),
        _beside(diagonal, first, second, "1-2, 2-3"),
        (diagonal, 0.0),
        _beside(diagonal, fourth, third, "3-4, 4-1"),
    ]
    corners[3] = corners[3][0], -corners[3][1]
    if len(distances) > 5:
        other, given = math.dist(corners[1], corners[3]), distances[5]
        if abs(other - given) > _TAPE * given:
            raise ValueError(
                f"distances_m: 2-4 is {given:g}, but the other five give {other:.2f}: measure again"
            )
    return corners


def homography(places: Array, metres: Sequence[Pair]) -> Array:
    """The matrices ``(..., 3, 3)`` that map homogeneous image coordinates to homogeneous metres.

    They are scaled so that the third coordinate is positive on the places' side of the horizon.

    Args:
        places: Four places in the image, ``(..., 4, 2)``, relative to their centre.
        metres: Their positions on the ground.
    """
    x, y = places[..., 0], places[..., 1]
    one, zero = np.ones_like(x), np.zeros_like(x)
    across, along = (np.broadcast_to(values, x.shape) for values in np.array(metres, np.float64).T)
    rows = np.concatenate(
        [
            np.stack([x, y, one, zero, zero, zero, -across * x, -across * y], -1),
            np.stack([zero, zero, zero, x, y, one, -along * x, -along * y], -1),
        ],
        -2,
    )
    solved = np.linalg.solve(rows, np.concatenate([across, along], -1)[..., None])[..., 0]
    return np.concatenate([solved, one[..., :1]], -1).reshape(*x.shape[:-1], 3, 3)


def check_quadrangle(places: Sequence[Pair], metres: Sequence[Pair], blur: float) -> None:
    """Checks that four places in an image can be four positions on a plane.

    Args:
        places: Four places in the image.
        metres: Their positions on the ground.
        blur: Standard error of the places, in image widths.

    Raises:
        ValueError: Three are collinear; or the horizon would lie between the places, for example because
            their order differs from that of the positions.
    """
    for corners in itertools.combinations(range(4), 3):
        names = ", ".join(str(corner + 1) for corner in corners)
        height, _ = _triangle([places[corner] for corner in corners])
        if height <= 2 * blur:
            raise ValueError(f"points: {names} lie on one line, or nearly: choose a wider quadrangle")
        height, longest = _triangle([metres[corner] for corner in corners])
        if height <= _THIN * longest:
            raise ValueError(f"points: {names} lie on one line on the ground: choose corners of a quadrangle")
    around = np.array(places) - np.mean(places, axis=0)
    weights = around @ homography(around, metres)[2, :2] + 1.0
    if (weights <= 0).any():
        raise ValueError(
            "points: impossible on flat ground, as the horizon would lie between them: give points and "
            "metres in the same order around the quadrangle"
        )


def _triangle(corners: Sequence[Pair]) -> tuple[float, float]:
    """Smallest height and longest side of a triangle; the height is 0 for coincident corners."""
    (a, b), (c, d), (e, f) = corners
    longest = max(math.dist(*ends) for ends in itertools.combinations(corners, 2))
    double = abs((c - a) * (f - b) - (e - a) * (d - b))
    return (double / longest if longest else 0.0), longest


def _beside(base: float, left: float, right: float, names: str) -> Pair:
    """The apex of a triangle whose base starts at (0, 0) along the x axis."""
    x = (base**2 + left**2 - right**2) / (2 * base)
    if left**2 <= x**2:
        raise ValueError(f"distances_m: {names} and the diagonal 1-3 do not form a triangle: measure again")
    return x, math.sqrt(left**2 - x**2)
