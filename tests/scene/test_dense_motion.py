import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scene.dense_motion import DenseMotion, polar
from tests.scene.moving_discs import ASPECT, GRID, Disc, dense_motion, straight

EVERYWHERE = np.argwhere(np.ones(GRID))
SPEEDS = st.floats(-0.5, 0.5)


def velocity_at(motion: DenseMotion, x: float, y: float) -> list[float]:
    velocity: list[float] = motion.camera_velocity(np.array([x, y], np.float32)).tolist()
    return velocity


def test_what_stands_still_under_a_panning_camera_has_no_own_motion() -> None:
    motion = dense_motion([], 1.0, camera=straight(0, 0, 0.3, -0.2))
    assert np.abs(motion.own_velocity(EVERYWHERE)).max() < 1e-5
    assert velocity_at(motion, 0.3, 0.6) == pytest.approx((-0.3, 0.2), abs=1e-5)


@given(x=SPEEDS, y=SPEEDS, pan_x=SPEEDS, pan_y=SPEEDS)
def test_own_motion_is_against_the_camera(x: float, y: float, pan_x: float, pan_y: float) -> None:
    disc = Disc(straight(0.5 - x + pan_x, 0.4 - y + pan_y, x, y))
    motion = dense_motion([disc], 1.0, camera=straight(0, 0, pan_x, pan_y))
    middle = np.array([[round(0.4 / ASPECT * GRID[0]), GRID[1] // 2]])
    assert motion.own_velocity(middle)[0] == pytest.approx((x, y), abs=1e-4)


def test_a_zooming_camera_moves_what_is_off_the_middle() -> None:
    motion = dense_motion([], 1.0)
    zoom = np.array([[[0.8, 0, 0], [0, 0.8, 0]], [[0.9, 0, 0], [0, 0.9, 0]]], np.float32)
    motion = dataclasses.replace(motion, camera=zoom)
    assert velocity_at(motion, 0.5, ASPECT / 2) == pytest.approx((0, 0), abs=1e-6)
    assert velocity_at(motion, 1.0, ASPECT / 2) == pytest.approx((0.5, 0), abs=1e-6)
    assert velocity_at(motion, 0.5, ASPECT) == pytest.approx((0, 0.5 * ASPECT), abs=1e-6)


def test_an_unsure_past_frame_counts_less() -> None:
    motion = dense_motion([Disc(straight(0.4, 0.4, 0.1))], 1.0)
    motion.flow[0] += 40
    motion.uncertainty[0] = 100
    assert motion.own_velocity(np.array([[38, 48]]))[0] == pytest.approx((0.1, 0), abs=1e-3)


def test_an_empty_slot_is_left_out() -> None:
    motion = dense_motion([Disc(straight(0.4, 0.4, 0.1))], 1.0, past=1)
    motion.flow[0], motion.camera[0] = 1e9, np.nan
    assert motion.slots == (1,)
    assert motion.own_velocity(np.array([[38, 48]]))[0] == pytest.approx((0.1, 0), abs=1e-5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flow", np.zeros((2, 2, 3, 3))),
        ("camera", np.zeros((1, 2, 3))),
        ("history_ms", [100.0]),
        ("aspect", 0.0),
    ],
)
def test_arrays_that_do_not_belong_together_are_an_error(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        dataclasses.replace(dense_motion([], 1.0), **{name: value})


def test_a_way_hardly_below_the_right_is_to_the_right() -> None:
    assert polar(3.0, -4.0) == (5.0, pytest.approx(53.13, abs=0.01))
    assert polar(1.0, 1e-17) == (1.0, 0.0), "not 360, which no message may carry"
