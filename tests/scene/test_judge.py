import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.moving_thing import Mover, Rectangle, Thing
from pipeline.scene.judge import judge

BOX = (0.2, 0.3, 0.2, 0.1)

degrees = st.floats(0, 359.9)
boxes = st.tuples(st.floats(0, 0.8), st.floats(0, 0.8), st.floats(0.02, 0.2), st.floats(0.02, 0.2))


def mover(box: Rectangle = BOX, direction_deg: float = 0.0, is_sure: bool = True) -> Mover:
    return Mover(box=box, speed=0.2, direction_deg=direction_deg, is_sure=is_sure)


def thing(box: Rectangle = BOX, direction_deg: float = 0.0) -> Thing:
    return Thing(id=1, box=box, outline=[], speed=0.2, direction_deg=direction_deg, age_ms=500.0, score=0.9)


movers = st.lists(st.builds(mover, boxes, degrees, st.booleans()), max_size=5)
things = st.lists(st.builds(thing, boxes, degrees), max_size=5)


@given(movers=movers)
def test_things_that_are_the_movers_find_all_of_them(movers: list[Mover]) -> None:
    verdict = judge([thing(one.box, one.direction_deg) for one in movers], movers)
    sure = sum(one.is_sure for one in movers)
    assert (verdict.movers, verdict.found) == (sure, sure)
    if len({one.box for one in movers}) == len(movers):
        assert verdict.judged <= len(movers)
    if all(one.is_sure for one in movers):
        assert verdict.judged == len(movers)


@given(movers=movers, things=things, seed=st.integers(0, 1000))
def test_counts_add_up_whatever_the_order(movers: list[Mover], things: list[Thing], seed: int) -> None:
    verdict = judge(things, movers)
    assert 0 <= verdict.found <= min(verdict.judged, verdict.movers)
    assert verdict.judged <= len(things)
    assert len(verdict.direction_errors_deg) == verdict.found
    assert all(0 <= error <= 180 for error in verdict.direction_errors_deg)
    shuffled = random.Random(seed)
    again = judge(shuffled.sample(things, len(things)), shuffled.sample(movers, len(movers)))
    assert (again.movers, again.found) == (verdict.movers, verdict.found)


@given(movers=movers, things=things)
def test_a_thing_more_can_only_cost_precision_and_a_mover_more_only_recall(
    movers: list[Mover], things: list[Thing]
) -> None:
    verdict = judge(things, movers)
    far = (0.0, 0.0, 0.001, 0.001)
    more = judge([*things, thing(far)], movers)
    assert (more.judged, more.movers, more.found) == (verdict.judged + 1, verdict.movers, verdict.found)
    missed = judge(things, [*movers, mover(far)])
    assert (missed.judged, missed.movers, missed.found) == (
        verdict.judged,
        verdict.movers + 1,
        verdict.found,
    )


@pytest.mark.parametrize(
    ("box", "is_found"),
    [
        ((0.25, 0.3, 0.2, 0.1), True),  # three quarters of each: 0.6
        ((0.3, 0.3, 0.2, 0.1), True),  # halves: a third, 0.33
        ((0.31, 0.3, 0.2, 0.1), False),  # 0.29, and without its middle
        ((0.29, 0.34, 0.2, 0.1), True),  # less than 0.3, but with its middle and as large
        ((0.29, 0.34, 0.3, 0.18), False),  # with its middle, but more than twice as large
        ((0.28, 0.33, 0.04, 0.03), False),  # within it, much too small
        ((0.6, 0.6, 0.2, 0.1), False),
    ],
)
def test_a_mover_is_found_by_overlap_or_by_its_middle_and_size(box: Rectangle, is_found: bool) -> None:
    verdict = judge([thing(box)], [mover()])
    assert (verdict.judged, verdict.movers, verdict.found) == (1, 1, int(is_found))


def test_one_thing_finds_one_mover_and_the_other_way_round() -> None:
    two = judge([thing(), thing((0.21, 0.3, 0.2, 0.1))], [mover()])
    assert (two.judged, two.movers, two.found) == (2, 1, 1)
    one = judge([thing()], [mover(), mover((0.21, 0.3, 0.2, 0.1))])
    assert (one.judged, one.movers, one.found) == (1, 2, 1)


def test_what_nobody_has_to_find_is_neither_right_nor_wrong() -> None:
    verdict = judge([thing(), thing((0.21, 0.3, 0.2, 0.1))], [mover(is_sure=False)])
    assert (verdict.judged, verdict.movers, verdict.found) == (0, 0, 0)


@given(one=degrees, other=degrees)
def test_directions_differ_by_the_angle_between_them(one: float, other: float) -> None:
    (error,) = judge([thing(direction_deg=one)], [mover(direction_deg=other)]).direction_errors_deg
    assert math.cos(math.radians(error)) == pytest.approx(math.cos(math.radians(one - other)), abs=1e-9)
    assert 0 <= error <= 180
