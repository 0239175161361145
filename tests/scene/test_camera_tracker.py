"""The camera's motion, from exact dense motion of known paths."""

import dataclasses
import math
from collections.abc import Callable
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.camera_velocity import CameraMotion
from pipeline.scene.camera_tracker import CameraTracker
from pipeline.scene.sentence import camera_in_words
from tests.scene.moving_discs import AGES_S, ASPECT, Disc, Path, dense_motion, straight

FPS = 20


def followed(camera: Path, seconds: float = 2.0, discs: tuple[Disc, ...] = ()) -> CameraMotion:
    tracker, last = CameraTracker(), None
    for number in range(1, round(seconds * FPS) + 1):
        last = tracker.update(dense_motion(discs, number / FPS, camera), round(number / FPS * 1e9))
    assert last is not None
    return last


def turned(scale: Callable[[float], float], degrees: Callable[[float], float]) -> CameraMotion:
    """Of a camera whose content is scaled and turned anticlockwise about the middle, as functions of age."""
    maps = []
    for age in AGES_S:
        angle, size = math.radians(-degrees(age)), 1 / scale(age)
        cos, sin = size * math.cos(angle), size * math.sin(angle)
        # to where it was, x right and y down, each side of the picture from -1 to 1
        maps.append([[cos, sin * ASPECT, 0], [-sin / ASPECT, cos, 0]])
    motion = dataclasses.replace(dense_motion([], 1.0), camera=np.array(maps, np.float32))
    found = CameraTracker().update(motion, 10**9)
    assert found is not None
    return found


def test_a_camera_that_stands_does_nothing_whatever_moves_in_front_of_it() -> None:
    still = followed(straight(0, 0, 0), discs=(Disc(straight(0.3, 0.3, 0.2)),))
    assert still.speed == still.zoom == still.roll_deg == still.shake == 0


@given(degrees=st.floats(0, 359.9))
def test_a_pan_has_the_direction_in_which_the_camera_turns(degrees: float) -> None:
    angle = math.radians(degrees)
    found = followed(straight(0, 0, 0.2 * math.cos(angle), -0.2 * math.sin(angle)), seconds=0.5)
    assert found.speed == pytest.approx(0.2, abs=1e-3)
    assert abs((found.direction_deg - degrees + 180) % 360 - 180) < 0.5
    assert found.shake < 1e-3


def test_content_that_grows_is_a_zoom_in() -> None:
    assert turned(lambda age: math.exp(0.5 * age), lambda age: 0.0).zoom == pytest.approx(0.5, abs=1e-4)
    assert turned(lambda age: math.exp(-0.5 * age), lambda age: 0.0).zoom == pytest.approx(-0.5, abs=1e-4)


def test_content_that_turns_anticlockwise_is_a_camera_that_rolls_clockwise() -> None:
    found = turned(lambda age: 1.0, lambda age: 20 * age)
    assert found.roll_deg == pytest.approx(-20, abs=1e-3)
    assert found.zoom == pytest.approx(0, abs=1e-5)
    assert found.speed == pytest.approx(0, abs=1e-6)


def test_a_camera_that_goes_to_and_fro_shakes_and_does_not_pan() -> None:
    found = followed(lambda t: (0.01 * math.sin(2 * math.pi * 5 * t + 1), 0.0), seconds=4.0)
    assert found.shake > 0.05
    assert found.speed < 0.5 * found.shake


def test_a_camera_that_begins_to_pan_or_stops_does_not_shake() -> None:
    def camera(t: float) -> tuple[float, float]:
        return 0.3 * min(max(t - 1.0, 0.0), 1.0), 0.0

    tracker, words = CameraTracker(), []
    for number in range(1, 81):
        found = tracker.update(dense_motion([], number / FPS, camera), round(number / FPS * 1e9))
        assert found is not None
        words.append(camera_in_words(found))
    assert [word for word, _ in groupby(words)] == ["camera still", "camera pans right", "camera still"]


def test_without_a_past_nothing_is_known_and_nothing_is_remembered() -> None:
    tracker = CameraTracker()
    assert tracker.update(dense_motion([], 1.0, past=0), 10**9) is None
    assert tracker.update(dense_motion([], 2.0, straight(0, 0, 0.3)), 2 * 10**9) is not None
    assert tracker.update(dense_motion([], 3.0, past=0), 3 * 10**9) is None
    still = tracker.update(dense_motion([], 4.0), 4 * 10**9)
    assert still is not None
    assert still.speed == 0


@pytest.mark.parametrize("broken", [np.nan, np.inf, 1e30, 0.0])
def test_a_similarity_that_is_no_measurement_is_left_out(broken: float) -> None:
    camera = np.full((2, 2, 3), broken, np.float32)
    motion = dataclasses.replace(dense_motion([], 1.0), camera=camera)
    with np.errstate(all="ignore"):
        assert CameraTracker().update(motion, 10**9) is None


def test_time_that_goes_back_begins_anew() -> None:
    tracker = CameraTracker()
    tracker.update(dense_motion([], 1.0, straight(0, 0, 0.5)), 9 * 10**9)
    found = tracker.update(dense_motion([], 1.0, straight(0, 0, 0.1)), 10**9)
    assert found is not None
    assert found.speed == pytest.approx(0.1, abs=1e-3)
