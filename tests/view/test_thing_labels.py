"""Speeds beside things: each in the picture, none over another or over a panel."""

import random
from itertools import combinations

import msgspec
import numpy as np
import pytest

from pipeline.scene.ground import GroundSpeed
from pipeline.view.canvas import Box
from pipeline.view.thing_labels import draw_speeds
from tests.view.samples import picture, thing

SIZES = [(320, 240), (640, 480), (1920, 1080)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("count", [1, 3, 12])
def test_no_label_touches_another_a_panel_or_the_edge(width: int, height: int, count: int) -> None:
    rng = random.Random(count)
    panels = [Box(0, 0, width, height // 10), Box(0, height - height // 4, width // 3, height // 4)]
    shown = 0
    for _ in range(20):
        things = [
            thing((rng.random() * 0.9, rng.random() * 0.8, 0.1, 0.2), rng.random() * 359, rng.random())
            for _ in range(count)
        ]
        labels = draw_speeds(picture(width, height), things, panels)
        shown += len(labels)
        for box in labels:
            assert box.x >= 0
            assert box.y >= 0
            assert box.right <= width
            assert box.bottom <= height
        for one, other in combinations([*panels, *labels], 2):
            assert (one in panels and other in panels) or not one.overlaps(other)
    assert shown > 0.8 * 20 * count


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_only_the_boxes_that_are_returned_are_painted(width: int, height: int) -> None:
    canvas, before = picture(width, height), picture(width, height)
    labels = draw_speeds(canvas, [thing((0.4, 0.4, 0.2, 0.2), 0.0), thing((0.0, 0.0, 0.1, 0.1), 90.0)], [])
    assert len(labels) == 2
    for box in labels:
        part = np.s_[box.y : box.bottom, box.x : box.right]
        assert (canvas[part] != before[part]).any()
        canvas[part] = before[part]
    assert np.array_equal(canvas, before)


def test_a_label_is_next_to_its_thing() -> None:
    (box,) = draw_speeds(picture(), [thing((0.4, 0.4, 0.2, 0.2), 0.0)], [])
    assert 0.35 * 480 < box.bottom < 0.4 * 480
    assert 0.35 * 640 < box.x < 0.6 * 640


def test_the_surest_thing_gets_the_place() -> None:
    same = [thing((0.4, 0.4, 0.2, 0.2), 0.0, speed) for speed in (0.11, 0.88)]
    first, second = picture(), picture()
    (one,) = draw_speeds(first, same[:1], [])
    assert draw_speeds(second, same, [])[0] == one
    part = np.s_[one.y : one.bottom, one.x : one.right]
    assert np.array_equal(first[part], second[part])


def test_what_moves_in_place_has_no_speed() -> None:
    canvas = picture()
    assert draw_speeds(canvas, [thing((0.4, 0.4, 0.2, 0.2), 0.0, 0.004)], []) == []
    assert np.array_equal(canvas, picture())


def test_metres_a_second_take_the_place_of_widths_where_they_are_known() -> None:
    one = msgspec.structs.replace(thing((0.4, 0.4, 0.2, 0.2), 0.0, 0.11), id=7)
    pictures = [picture() for _ in range(3)]
    known = {7: GroundSpeed(4.25, 1.2)}
    (widths,) = draw_speeds(pictures[0], [one], [])
    (metres,) = draw_speeds(pictures[1], [one], [], known)
    assert metres.width > widths.width
    draw_speeds(pictures[2], [one], [], {8: GroundSpeed(4.25, 1.2)})
    assert np.array_equal(pictures[0], pictures[2])
