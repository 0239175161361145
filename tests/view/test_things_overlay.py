"""Things on the picture: where they are, which way they go, and nothing else."""

import math

import numpy as np
import pytest

from pipeline.base.moving_thing import Thing
from pipeline.view.direction_wheel import direction_color
from pipeline.view.things_overlay import draw_things
from tests.view.samples import picture, thing


def test_no_thing_leaves_the_picture_as_it_is() -> None:
    canvas = picture()
    draw_things(canvas, [])
    assert np.array_equal(canvas, picture())


@pytest.mark.parametrize(("width", "height"), [(320, 240), (640, 480), (1920, 1080)])
def test_a_thing_is_tinted_in_its_colour_and_the_rest_stays(width: int, height: int) -> None:
    canvas, before = picture(width, height), picture(width, height)
    draw_things(canvas, [thing((0.4, 0.4, 0.2, 0.2), 180.0, speed=0.011)])
    inside = np.s_[round(0.55 * height) : round(0.58 * height), round(0.45 * width) : round(0.55 * width)]
    toward = np.array(direction_color(180.0), float) - before[inside].mean(axis=(0, 1))
    moved = canvas[inside].astype(float).mean(axis=(0, 1)) - before[inside].mean(axis=(0, 1))
    assert (moved * toward).sum() / (np.linalg.norm(moved) * np.linalg.norm(toward)) > 0.98
    far = np.s_[: round(0.2 * height), :]
    assert np.array_equal(canvas[far], before[far])


@pytest.mark.parametrize("direction_deg", [0.0, 90.0, 180.0, 270.0])
def test_the_arrow_leads_out_of_the_thing_the_way_it_goes(direction_deg: float) -> None:
    canvas, still = picture(), picture()
    box = (0.48, 0.47, 0.04, 0.06)
    inside = np.s_[round(0.46 * 480) : round(0.54 * 480), round(0.47 * 640) : round(0.53 * 640)]
    draw_things(canvas, [thing(box, direction_deg, speed=0.4)])
    draw_things(still, [thing(box, direction_deg, speed=0.0)])
    changed = (canvas != still).any(axis=2)
    changed[inside] = False  # its colour: in place it has none
    rows, columns = np.nonzero(changed)
    angle = math.radians(direction_deg)
    ahead = (columns - 320) * math.cos(angle) - (rows - 240) * math.sin(angle)
    assert ahead.max() == pytest.approx(0.2 * 640, abs=8)
    assert ahead.min() > 0


def test_what_moves_in_place_has_no_colour_of_a_direction() -> None:
    pictures = []
    for direction_deg in (0.0, 180.0):
        canvas = picture()
        draw_things(canvas, [thing((0.4, 0.4, 0.2, 0.2), direction_deg, speed=0.002)])
        pictures.append(canvas)
    assert np.array_equal(*pictures)


def test_things_at_the_edges_and_without_an_outline_are_drawn() -> None:
    canvas = picture(320, 240)
    corners = [(0.0, 0.0, 0.1, 0.1), (0.9, 0.0, 0.1, 0.1), (0.0, 0.9, 0.1, 0.1), (0.9, 0.9, 0.1, 0.1)]
    things = [thing(box, 30.0, speed=5.0) for box in corners]
    bare = Thing(
        id=2, box=(0.5, 0.5, 0.1, 0.1), outline=[], speed=0.1, direction_deg=0.0, age_ms=1.0, score=0.5
    )
    draw_things(canvas, [*things, bare])
    assert not np.array_equal(canvas, picture(320, 240))
