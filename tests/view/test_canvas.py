"""Brushes: text and translucent paint, in any place."""

import cv2
import numpy as np
import pytest

from pipeline.view.canvas import SUBPIXEL_BITS, Scale, fit_text, put_text, subpixel, text_size, translucent
from tests.view.samples import picture


def test_text_beyond_the_edge_is_cut_off():
    image = picture()
    for x, middle in ((-30, 10), (620, 10), (10, -2), (10, 479), (700, 10), (10, 900), (-900, -900)):
        canvas = image.copy()
        put_text(canvas, "pan_left", x, middle, 0.5, (255, 255, 255))
        seen = -60 < x < 640 and -10 < middle < 490
        assert (canvas != image).any() == seen


def test_fit_text():
    assert fit_text("pan_left", 0.5, 500) == "pan_left"
    short = fit_text("a_very_long_label", 0.5, 80)
    assert short.endswith("…")
    assert text_size(short, 0.5)[0] <= 80
    assert fit_text("wide", 0.5, 3) == ""


def test_sizes_follow_the_picture():
    units = [Scale.of(picture(*size)).unit for size in ((320, 240), (640, 480), (1920, 1080))]
    assert units[0] < units[1] == 1.0 < units[2]
    assert units[0] > 0.5


@pytest.mark.parametrize("corner", [(20, 20), (-30, -10), (620, 470), (900, 900)])
def test_what_is_painted_translucent_is_half_of_each_and_the_rest_stays(corner):
    canvas, clear = picture(), picture()
    x, y = corner
    square = subpixel(np.array([(x, y), (x + 40, y), (x + 40, y + 40), (x, y + 40)], float))
    with translucent(canvas, 0.5, [square]) as above:
        cv2.fillPoly(above, [square], (200, 100, 0), cv2.LINE_8, SUBPIXEL_BITS)
    inside = np.zeros((480, 640), bool)
    inside[max(0, y) : max(0, y + 41), max(0, x) : max(0, x + 41)] = True
    expected = np.where(inside[..., None], (clear + np.array([200, 100, 0])) / 2, clear)
    assert np.abs(canvas - expected).max() <= 1


def test_nothing_painted_translucent_changes_nothing():
    canvas = picture()
    with translucent(canvas, 0.5, []) as above:
        assert above.shape == canvas.shape
    assert (canvas == picture()).all()
