from collections import Counter
from itertools import pairwise

import cv2
import numpy as np
import pytest

from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.training.evaluation.global_motion import estimate_motion, name_clip, small_grey
from pipeline.training.evaluation.moving_camera import balanced, film, look, plan
from tests.training.evaluation.test_global_motion import STILL, seen, wallpaper

CORNERS = np.array([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)]).T


@pytest.mark.parametrize("label", CAMERA_MOTIONS)
def test_another_eye_sees_the_motion_that_was_asked_for(label: str) -> None:
    still = [seen(wallpaper(), STILL)] * 3
    for number in range(3):
        squares = film(still, label, 1.0, (224, 224), (8, number))
        views = [cv2.cvtColor(cv2.resize(square, (640, 480)), cv2.COLOR_RGB2BGR) for square in squares]
        greys = [small_grey(np.asarray(view, np.uint8)) for view in views]
        assert name_clip([estimate_motion(*pair) for pair in pairwise(greys)]) == label


@pytest.mark.parametrize("num_past", [1, 2, 4])
@pytest.mark.parametrize("label", CAMERA_MOTIONS)
def test_the_window_never_leaves_the_picture(label: str, num_past: int) -> None:
    for seed in range(30):
        windows = plan((320, 180), label, 2.0, num_past, np.random.default_rng(seed))
        assert windows.shape == (num_past + 1, 2, 3)
        x, y = (windows @ CORNERS).transpose(1, 0, 2)
        assert x.min() >= 0
        assert x.max() <= 319
        assert y.min() >= 0
        assert y.max() <= 179


def test_the_middle_frame_does_not_tell_the_label() -> None:
    middles = [plan((320, 240), label, 1.0, 2, np.random.default_rng(4))[1] for label in CAMERA_MOTIONS]
    for middle in middles[1:]:
        np.testing.assert_allclose(middle, middles[0])


def test_a_still_window_stays() -> None:
    windows = plan((320, 240), "static", 1.0, 2, np.random.default_rng(4))
    np.testing.assert_allclose(windows[0], windows[2])
    assert not np.allclose(windows, plan((320, 240), "static", 1.0, 2, np.random.default_rng(5)))


def test_looks_where_the_window_says() -> None:
    frame = np.zeros((100, 100, 3), np.uint8)
    frame[40:60, 20:40] = (255, 0, 0)
    window = np.array([[10, 0, 29.5], [0, 10, 49.5]])
    assert (look(frame, window, (32, 32))[2:-2, 2:-2] == (0, 0, 255)).all()
    window[0, 2] += 10
    half = look(frame, window, (32, 32))
    assert half[2:-2, :14, 2].min() == 255
    assert half[:, 18:].max() == 0


def test_same_seed_same_clip() -> None:
    still = [seen(wallpaper(), STILL)] * 3
    one, again, other = (film(still, "pan_left", 1.0, (64, 64), (3, seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_balanced_labels() -> None:
    labels = balanced(91, seed=1)
    assert set(Counter(labels).values()) == {10, 11}
    assert labels == balanced(91, seed=1) != balanced(91, seed=2)
