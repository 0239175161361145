"""The badge for the camera's motion: what it does, in the room that there is."""

import msgspec
import numpy as np
import pytest

from pipeline.view.camera_badge import draw_camera_badge
from pipeline.view.canvas import Box
from tests.view.samples import CAMERA, picture

MOTIONS = {
    "still": {},
    "right": {"speed": 0.2},
    "up": {"speed": 0.2, "direction_deg": 90.0},
    "zoom in": {"zoom": 0.3},
    "zoom out": {"zoom": -0.3},
    "roll": {"roll_deg": 20.0},
    "shake": {"shake": 0.2},
}


def badge(size, taken=(), **motion):
    canvas = picture(*size)
    return canvas, draw_camera_badge(canvas, msgspec.structs.replace(CAMERA, **motion), 30, taken)


@pytest.mark.parametrize("size", [(320, 240), (640, 480), (1920, 1080)])
def test_each_motion_looks_different_and_stays_in_its_box(size):
    pictures = []
    for motion in MOTIONS.values():
        canvas, box = badge(size, **motion)
        part = np.s_[box.y : box.bottom, box.x : box.right]
        pictures.append(canvas.copy())
        canvas[part] = picture(*size)[part]
        assert np.array_equal(canvas, picture(*size))
        assert box.right <= size[0]
    for number, one in enumerate(pictures):
        assert not any(np.array_equal(one, other) for other in pictures[:number])


def test_long_words_are_cut_before_what_is_to_the_right():
    other = Box(140, 20, 100, 100)
    _, box = badge((640, 480), [other], speed=0.3, roll_deg=60.0)
    assert box.right < other.x


@pytest.mark.parametrize(
    ("size", "taken"), [((640, 480), [Box(0, 0, 30, 60)]), ((640, 480), [Box(30, 40, 9, 9)]), ((640, 45), [])]
)
def test_without_room_there_is_no_badge(size, taken):
    canvas, box = badge(size, taken)
    assert box is None
    assert np.array_equal(canvas, picture(*size))
