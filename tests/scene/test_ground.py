"""Metres a second of what goes over flat ground before a camera that is known exactly."""

import cmath
import math
import random
import statistics
from collections.abc import Callable

import msgspec
import pytest

from pipeline.base.known_ground import Ground
from pipeline.base.moving_thing import Point
from pipeline.scene.ground import FOOT_ERROR, VELOCITY_ERROR, GroundSpeed, GroundSpeeds
from tests.scene.pinhole import Pinhole

SIZE = (1280, 720)
CASES = 4000
CORNERS = [(-2.0, 5.0), (2.0, 5.0), (2.0, 11.0), (-2.0, 11.0)]
CAMERA = Pinhole()
Case = tuple[float, GroundSpeed | None]
"""The true speed, and the figure for it."""


def yard(camera: Pinhole = CAMERA) -> Ground:
    return Ground(size=SIZE, points=[camera.share(*corner) for corner in CORNERS], metres=CORNERS)


def bar(camera: Pinhole = CAMERA, y: float = 7.0) -> Ground:
    return Ground(size=SIZE, segment=[camera.share(-1.5, y), camera.share(1.5, y)], length_m=3.0)


@pytest.mark.parametrize(("x", "y"), [(0, 7), (-1.5, 6), (2.5, 10)])
@pytest.mark.parametrize("way_deg", [0, 50, 90, 200])
def test_a_known_speed_is_found_everywhere_and_each_way(x: float, y: float, way_deg: float) -> None:
    way = 3.0 * cmath.exp(1j * math.radians(way_deg))
    thing = CAMERA.seen(CAMERA.place(x, y), CAMERA.velocity(x, y, way.real, way.imag))
    figure = GroundSpeeds([yard()]).of(thing)
    assert figure is not None
    assert figure.m_s == pytest.approx(3.0, rel=1e-3)
    assert 2 * VELOCITY_ERROR * 3.0 < figure.error < 3.0


@pytest.mark.parametrize("aspect", [9 / 16, 3 / 4, 16 / 9])
def test_pictures_of_any_shape_give_the_same_speed(aspect: float) -> None:
    camera = Pinhole(aspect=aspect, focal=0.6)
    ground = Ground(
        size=(720, round(720 * aspect)),
        points=[camera.share(*corner) for corner in CORNERS],
        metres=CORNERS,
    )
    for dx, dy in ((2.0, 0.0), (0.0, 2.0)):
        thing = camera.seen(camera.place(0, 8), camera.velocity(0, 8, dx, dy))
        figure = GroundSpeeds([ground]).of(thing)
        assert figure is not None
        assert figure.m_s == pytest.approx(2.0, rel=1e-2)


def test_a_thing_of_known_length_measures_what_goes_across_the_view_beside_it() -> None:
    speeds = GroundSpeeds([bar()])
    across, ahead = (CAMERA.velocity(0, 7, *way) for way in ((3.0, 0.0), (0.0, 3.0)))
    beside = speeds.of(CAMERA.seen(CAMERA.place(0, 7), across))
    assert beside is not None
    assert beside.m_s == pytest.approx(3.0, rel=1e-3)
    behind = speeds.of(CAMERA.seen(CAMERA.place(0, 8), CAMERA.velocity(0, 8, 3.0, 0.0)))
    assert behind is not None
    assert behind.error / behind.m_s > beside.error / beside.m_s
    assert speeds.of(CAMERA.seen(CAMERA.place(0, 7), ahead)) is None
    assert speeds.of(CAMERA.seen(CAMERA.place(0, 30), across)) is None


def test_beyond_the_horizon_and_far_from_the_points_there_is_no_figure() -> None:
    camera = Pinhole(down_deg=10)
    speeds = GroundSpeeds([yard(camera)])
    for row in (0.0, 0.05, 0.12):  # the horizon is at 0.12
        assert camera.ground(complex(0.5, row)) is None
        assert speeds.of(camera.seen(complex(0.5, row), 0.1 + 0j)) is None
    assert speeds.of(camera.seen(camera.place(0, 200), 0.1 + 0j)) is None
    wide = Pinhole(focal=0.2)
    assert GroundSpeeds([yard(wide)]).of(wide.seen(wide.place(15, 8), 0.1 + 0j)) is None


def test_what_stands_still_and_what_no_ground_is_known_for_has_no_figure() -> None:
    assert GroundSpeeds([]).of(CAMERA.seen(0.5 + 0.3j, 0.1 + 0j)) is None
    for ground in (yard(), bar()):
        assert GroundSpeeds([ground]).of(CAMERA.seen(CAMERA.place(0, 7), 0j)) is None


def test_of_several_the_surest_counts() -> None:
    thing = CAMERA.seen(CAMERA.place(0, 8), CAMERA.velocity(0, 8, 3.0, 0.0))
    alone = [GroundSpeeds([ground]).of(thing) for ground in (yard(), bar())]
    least = min((one for one in alone if one), key=lambda one: one.error)
    assert GroundSpeeds([bar(), yard()]).of(thing) == least


def _seen(rng: random.Random, camera: Pinhole, ground: Ground, way_deg: float) -> Case | None:
    """Something that goes somewhere in the picture, as the network sees it."""
    place = complex(rng.uniform(0, 1), rng.uniform(0, camera.aspect))
    at = camera.ground(place)
    if at is None:
        return None
    speed = rng.uniform(0.5, 15.0)
    way = speed * cmath.exp(1j * math.radians(way_deg))
    velocity = camera.velocity(*at, way.real, way.imag)
    velocity += abs(velocity) * VELOCITY_ERROR * complex(rng.gauss(0, 1), rng.gauss(0, 1))
    foot = place + FOOT_ERROR * complex(rng.gauss(0, 1), rng.gauss(0, 1))
    return speed, GroundSpeeds([ground]).of(camera.seen(foot, velocity))


def _clicked(rng: random.Random, camera: Pinhole, points: list[complex]) -> list[tuple[float, float]] | None:
    """Points of the ground as somebody reads them off the picture; None where one is not in it."""
    shares = [camera.share(one.real, one.imag) for one in points]
    clicked = [(x + rng.gauss(0, 3) / SIZE[0], y + rng.gauss(0, 3) / SIZE[1]) for x, y in shares]
    return clicked if all(0 <= share <= 1 for point in clicked for share in point) else None


def _with_four_points(rng: random.Random) -> Case | None:
    camera = Pinhole(rng.uniform(3, 8), rng.uniform(10, 60), rng.uniform(0.7, 1.2))
    middle = camera.ground(complex(rng.uniform(0.35, 0.65), rng.uniform(0.25, 0.45)))
    assert middle is not None
    turn, width, length = cmath.exp(1j * rng.uniform(0, 3.2)), rng.uniform(0.2, 0.5), rng.uniform(0.2, 0.5)
    corners = [
        complex(*middle) + middle[1] * turn * complex(a * width, b * length) / 2
        for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    points = _clicked(rng, camera, corners)
    if points is None:
        return None
    try:
        ground = Ground(size=SIZE, points=points, metres=[(one.real, one.imag) for one in corners])
    except ValueError:  # too small in the picture
        return None
    return _seen(rng, camera, ground, rng.uniform(0, 360))


def _with_one_thing(rng: random.Random) -> Case | None:
    camera = Pinhole(rng.uniform(3, 8), rng.uniform(10, 60), rng.uniform(0.7, 1.2))
    middle = camera.ground(complex(rng.uniform(0.35, 0.65), rng.uniform(0.25, 0.5)))
    assert middle is not None
    length = rng.uniform(0.15, 0.4) * middle[1]
    points = _clicked(rng, camera, [complex(*middle) + side * length / 2 for side in (-1, 1)])
    if points is None:
        return None
    ground = Ground(size=SIZE, segment=points, length_m=length)
    return _seen(rng, camera, ground, rng.choice([0, 180]) + rng.uniform(-15, 15))


@pytest.mark.parametrize(("scene", "most"), [(_with_four_points, 0.97), (_with_one_thing, 0.995)])
def test_in_95_of_100_cases_the_truth_is_within_the_error(
    scene: Callable[[random.Random], Case | None], most: float
) -> None:
    rng = random.Random(12)
    cases = [case for _ in range(CASES) if (case := scene(rng))]
    figures = [(true, figure) for true, figure in cases if figure]
    within = sum(abs(figure.m_s - true) <= figure.error for true, figure in figures) / len(figures)
    assert len(figures) > 0.15 * len(cases)
    assert 0.94 <= within <= most
    ratios = sorted(figure.m_s / true for true, figure in figures)
    assert ratios[len(ratios) // 2] == pytest.approx(1.0, abs=0.05)
    errors = sorted(figure.error / figure.m_s for _, figure in figures)
    assert errors[len(errors) // 2] < 0.7


@pytest.mark.parametrize("known", [yard(), bar()])
def test_points_that_were_read_off_poorly_make_the_error_larger_by_as_much(known: Ground) -> None:
    thing = CAMERA.seen(CAMERA.place(0.5, 7), CAMERA.velocity(0.5, 7, 3.0, 0.0))

    def figure(ground: Ground) -> GroundSpeed:
        found = GroundSpeeds([ground]).of(thing)
        assert found is not None
        return found

    def clicked(points: list[Point]) -> list[Point]:
        return [(x + rng.gauss(0, 12) / SIZE[0], y + rng.gauss(0, 12) / SIZE[1]) for x, y in points]

    poor, sure = (figure(msgspec.structs.replace(known, click_px=click_px)).error for click_px in (12, 0.1))
    rng = random.Random(1)
    again = [
        msgspec.structs.replace(known, points=clicked(known.points), segment=clicked(known.segment))
        for _ in range(400)
    ]
    spread = statistics.pstdev(figure(ground).m_s for ground in again)
    assert math.sqrt(poor**2 - sure**2) == pytest.approx(2 * spread, rel=0.15)
