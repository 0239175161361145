"""The colours of directions: told apart by everybody, and explained on the picture."""

import math
from itertools import combinations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from pipeline.base.frame import Image
from pipeline.view.canvas import Box
from pipeline.view.direction_wheel import direction_color, draw_legend
from tests.view.samples import picture

EIGHT = range(0, 360, 45)
Matrix = npt.NDArray[np.float64]
# What is left of linear red, green and blue: Machado, Oliveira and Fernandes 2009, severity 1.
VISION: dict[str, Matrix] = {
    "full colour vision": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}


def as_seen(directions: range, vision: str) -> Matrix:
    """The colours of directions as CIELAB, ``(n, 3)``, for somebody with a kind of vision."""
    rgb = np.array([direction_color(direction)[::-1] for direction in directions], np.float64) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ VISION[vision].T
    clipped = linear.clip(0, 1).astype(np.float32)[None]
    return np.asarray(cv2.cvtColor(clipped, cv2.COLOR_LRGB2LAB)[0], np.float64)


@pytest.mark.parametrize("vision", VISION)
def test_any_two_of_eight_directions_look_different(vision: str) -> None:
    colors = as_seen(EIGHT, vision)
    assert min(float(np.linalg.norm(one - other)) for one, other in combinations(colors, 2)) > 28


def test_the_wheel_is_closed_and_has_no_steps() -> None:
    colors = np.array([direction_color(direction) for direction in range(361)], float)
    assert np.array_equal(colors[0], colors[360])
    assert np.abs(np.diff(colors, axis=0)).max() <= 6


def legend(width: int, height: int) -> tuple[Image, Box | None]:
    canvas = picture(width, height)
    return canvas, draw_legend(canvas, height // 8, [])


@pytest.mark.parametrize(("width", "height"), [(320, 240), (640, 480), (1920, 1080), (480, 854)])
def test_the_legend_shows_each_direction_in_its_colour(width: int, height: int) -> None:
    canvas, box = legend(width, height)
    assert box is not None
    assert box.right <= width
    radius = (box.width - 2 * round(0.12 * box.width)) / 2
    row = box.y + (box.bottom - box.y) * 0.41
    for direction in EIGHT:
        near = np.array(
            [
                canvas[
                    round(row - far * radius * math.sin(math.radians(direction))),
                    round(box.x + box.width / 2 + far * radius * math.cos(math.radians(direction))),
                ]
                for far in (0.45, 0.5, 0.55, 0.6)
            ],
            float,
        )
        assert np.abs(near - direction_color(direction)).max(axis=1).min() < 40


def test_the_legend_leaves_the_rest_of_the_picture() -> None:
    canvas, box = legend(640, 480)
    assert box is not None
    canvas[box.y : box.bottom, box.x : box.right] = picture()[box.y : box.bottom, box.x : box.right]
    assert np.array_equal(canvas, picture())


@pytest.mark.parametrize(("width", "height"), [(120, 100), (1200, 100), (96, 400)])
def test_a_picture_without_room_has_no_legend(width: int, height: int) -> None:
    canvas, box = legend(width, height)
    assert box is None
    assert np.array_equal(canvas, picture(width, height))


def test_the_legend_covers_nothing() -> None:
    canvas = picture()
    assert draw_legend(canvas, 60, [Box(600, 100, 10, 10)]) is None
    assert np.array_equal(canvas, picture())
