"""A plane and its picture: corners from lengths, and the way back from the picture to metres."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.plane import check_quadrangle, corners_of, homography
from tests.scene.pinhole import Pinhole

CORNERS = [(-2.0, 5.0), (3.0, 6.0), (2.0, 12.0), (-3.0, 10.0)]


def lengths(corners: list[tuple[float, float]]) -> list[float]:
    """Sides, then both diagonals."""
    one, two, three, four = corners
    return [
        *(math.dist(*side) for side in pairwise([*corners, one])),
        math.dist(one, three),
        math.dist(two, four),
    ]


@pytest.mark.parametrize("corners", [CORNERS, [(0, 0), (6, 0), (6, 12), (0, 12)], CORNERS[::-1]])
def test_five_lengths_are_a_quadrangle_and_the_sixth_agrees(corners: list[tuple[float, float]]) -> None:
    for count in (5, 6):
        assert lengths(corners_of(lengths(corners)[:count])) == pytest.approx(lengths(corners))


def test_lengths_that_contradict_each_other_are_refused_with_those_that_do() -> None:
    sound = lengths(CORNERS)
    for number, names in ((0, "1-2, 2-3"), (2, "3-4, 4-1"), (4, "1-2, 2-3")):
        wrong = [length * (3 if n == number else 1) for n, length in enumerate(sound)]
        with pytest.raises(ValueError, match=f"{names} and the diagonal 1-3 do not form a triangle"):
            corners_of(wrong)
    with pytest.raises(ValueError, match="2-4 is 9, but the other five give 7"):
        corners_of([*sound[:5], 9.0])


@given(down=st.floats(15, 70), x=st.floats(-3, 3), y=st.floats(4, 13))
def test_the_way_back_is_that_of_a_camera(down: float, x: float, y: float) -> None:
    camera = Pinhole(down_deg=down)
    places = np.array([(one.real, one.imag) for one in (camera.place(*corner) for corner in CORNERS)])
    middle, place = places.mean(axis=0), camera.place(x, y)
    weighted = homography(places - middle, CORNERS) @ [*(np.array([place.real, place.imag]) - middle), 1.0]
    assert weighted[2] > 0
    assert weighted[:2] / weighted[2] == pytest.approx((x, y), abs=1e-6)


def test_what_no_ground_looks_like_is_refused() -> None:
    square = [(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0)]
    seen = [(0.3, 0.5), (0.7, 0.5), (0.6, 0.2), (0.4, 0.2)]
    check_quadrangle(seen, square, 0.002)
    check_quadrangle(seen[::-1], square, 0.002)  # from below, or in a mirror
    with pytest.raises(ValueError, match="same order"):
        check_quadrangle([seen[n] for n in (0, 2, 1, 3)], square, 0.002)
    with pytest.raises(ValueError, match="1, 2, 3 lie on one line, or nearly"):
        check_quadrangle([(0.3, 0.5), (0.5, 0.502), (0.7, 0.5), (0.4, 0.2)], square, 0.002)
    with pytest.raises(ValueError, match="2, 3, 4 lie on one line on the ground"):
        check_quadrangle(seen, [(0.0, 0.0), (4.0, 0.0), (4.0, 2.0), (4.0, 4.0)], 0.002)
    with pytest.raises(ValueError, match="1, 2, 3 lie on one line"):
        check_quadrangle(seen, [(0.0, 0.0)] * 4, 0.002)


def test_a_horizon_between_the_points_is_refused() -> None:
    """Two of the points are behind the camera: their places in the picture are above its horizon."""
    camera, corners = Pinhole(down_deg=20), [(-2.0, 6.0), (2.0, 6.0), (2.0, -9.0), (-2.0, -9.0)]
    places = [(one.real, one.imag) for one in (camera.place(*corner) for corner in corners)]
    with pytest.raises(ValueError, match="the horizon would lie between them"):
        check_quadrangle(places, corners, 0.002)
