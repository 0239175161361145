"""Measured speeds against scripted ones and against the way of the box."""

import msgspec
import pytest

from benchmarks.speed_by_size import overlap, speed_ratios, window_ratios
from pipeline.base.moving_thing import Mover, Thing
from tests.view.samples import thing


def walker(box: tuple[float, float, float, float], speed: float, *, is_sure: bool = True) -> Mover:
    return Mover(box=box, speed=speed, direction_deg=0.0, is_sure=is_sure)


def test_overlap_is_intersection_over_union() -> None:
    assert overlap((0.0, 0.0, 0.2, 0.2), (0.1, 0.0, 0.2, 0.2)) == pytest.approx(1 / 3)
    assert overlap((0.0, 0.0, 0.2, 0.2), (0.5, 0.5, 0.2, 0.2)) == 0.0


def test_a_walker_is_compared_with_the_object_at_its_place() -> None:
    here, elsewhere = thing((0.1, 0.1, 0.1, 0.4), 0, 0.15), thing((0.7, 0.1, 0.1, 0.4), 0, 0.9)
    movers = [
        walker((0.11, 0.1, 0.1, 0.4), 0.2),
        walker((0.7, 0.1, 0.1, 0.4), 0.9, is_sure=False),
        walker((0.4, 0.4, 0.1, 0.4), 0.2),  # not found
        walker((0.7, 0.1, 0.4, 0.1), 0.2),  # a car
    ]
    assert list(speed_ratios([elsewhere, here], movers, 1.0)) == [(0.4, pytest.approx(0.75))]


def states(numbers: range, per_frame: float, speed: float) -> list[tuple[int, Thing]]:
    """An object that moves down."""
    one = thing((0.1, 0.0, 0.1, 0.2), 270, speed)
    return [
        (number, msgspec.structs.replace(one, box=(0.1, per_frame * number, 0.1, 0.2))) for number in numbers
    ]


def test_a_window_compares_the_mean_speed_with_the_way_of_the_box() -> None:
    # 0.2 heights in 2 s are 0.1 widths of a frame that is twice as wide as high
    assert list(window_ratios(states(range(21), 0.01, 0.04), 10.0, 2.0)) == [(0.2, pytest.approx(0.8))]


def test_windows_with_gaps_and_of_objects_that_hardly_move_are_left_out() -> None:
    gap = [*states(range(10), 0.01, 0.05), *states(range(11, 22), 0.01, 0.05)]
    assert not list(window_ratios(gap, 10.0, 1.0))
    assert not list(window_ratios(states(range(21), 0.001, 0.05), 10.0, 1.0))
