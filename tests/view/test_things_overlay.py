"""Things on the picture: where they are, which way they go, and nothing else."""

import math

import msgspec
import numpy as np
import pytest

from pipeline.base.moving_thing import Thing
from pipeline.view.direction_wheel import direction_color
from pipeline.view.things_overlay import draw_things
from tests.view.samples import changed, picture, thing


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


@pytest.mark.parametrize(("width", "height"), [(320, 240), (640, 480), (1920, 1080)])
def test_a_trail_is_where_the_thing_has_been_and_ends_in_it(width: int, height: int) -> None:
    one = thing((0.7, 0.4, 0.2, 0.2), 0.0)
    trail = [(share, 0.5) for share in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)]
    with_trail, without = picture(width, height), picture(width, height)
    draw_things(with_trail, [msgspec.structs.replace(one, trail=trail)])
    draw_things(without, [one])
    rows, columns = np.nonzero(changed(without, with_trail))
    assert columns.min() == pytest.approx(0.1 * width, abs=0.03 * width)
    assert set(range(round(0.15 * width), round(0.68 * width))) <= set(columns.tolist())
    assert np.abs(rows - height / 2).max() < 0.02 * height
    begin, end = (np.ptp(rows[np.abs(columns - at * width) < 3]) for at in (0.15, 0.65))
    assert begin <= end


def test_what_moves_in_place_has_no_trail() -> None:
    one = thing((0.7, 0.4, 0.2, 0.2), 0.0, speed=0.001)
    with_trail, without = picture(), picture()
    draw_things(with_trail, [msgspec.structs.replace(one, trail=[(0.1, 0.5), (0.5, 0.5)])])
    draw_things(without, [one])
    assert np.array_equal(with_trail, without)


def test_things_at_the_edges_and_without_an_outline_are_drawn() -> None:
    canvas = picture(320, 240)
    corners = [(0.0, 0.0, 0.1, 0.1), (0.9, 0.0, 0.1, 0.1), (0.0, 0.9, 0.1, 0.1), (0.9, 0.9, 0.1, 0.1)]
    things = [thing(box, 30.0, speed=5.0) for box in corners]
    bare = Thing(
        id=2, box=(0.5, 0.5, 0.1, 0.1), outline=[], speed=0.1, direction_deg=0.0, age_ms=1.0, score=0.5
    )
    draw_things(canvas, [*things, bare])
    assert not np.array_equal(canvas, picture(320, 240))
