"""The flow of things against how far their masks went."""

import numpy as np
import pytest

from pipeline.training.evaluation.mask_sequences import Mask
from pipeline.training.evaluation.score_speed import SpeedScore
from pipeline.training.evaluation.truth_files import Flow

Box = tuple[int, int, int, int]
"""Top, left, height and width."""


def boxes(*corners: Box) -> Mask:
    """A mask of 96 x 128 with boxes."""
    mask = np.zeros((96, 128), np.bool_)
    for top, left, tall, wide in corners:
        mask[top : top + tall, left : left + wide] = True
    return mask


def flow(dx: float, dy: float) -> Flow:
    return np.full((96, 128, 2), (dx, dy), np.float32)


def test_the_error_is_a_part_of_how_far_the_thing_went() -> None:
    score = SpeedScore()
    score.add(boxes((20, 40, 24, 16)), boxes((16, 37, 24, 16)), flow(-3, -4), flow(-3, 0))
    assert score.report("dis") == {"things": 1, "speed_error": 0.0, "dis_speed_error": 0.8}


def test_it_is_the_median_of_all_things_and_of_all_pixels_of_each() -> None:
    score = SpeedScore()
    now = boxes((10, 10, 20, 10), (10, 60, 20, 10), (60, 10, 20, 10))
    then = boxes((10, 6, 20, 10), (10, 56, 20, 10), (60, 6, 20, 10))
    found = flow(-4, 0)
    found[10:30, 10:20] = -40, 7  # nowhere near
    found[10:30, 60:64] = 40, 7  # less than half of it
    found[60:80, 10:20] = -3, 0
    score.add(now, then, found, flow(0, 0))
    assert score.report("dis") == {"things": 3, "speed_error": 0.25, "dis_speed_error": 1.0}


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ([(0, 40, 24, 16)], [(0, 37, 24, 16)]),
        ([(20, 40, 24, 16)], [(20, 37, 24, 10)]),
        ([(20, 40, 24, 16)], [(20, 40, 24, 16)]),
        ([(20, 10, 24, 16)], [(20, 90, 24, 16)]),
        ([(20, 40, 2, 2)], [(20, 41, 2, 2)]),
        ([(20, 40, 24, 16)], []),
    ],
    ids=["at the border", "half hidden", "stands", "another one", "a few pixels", "new"],
)
def test_only_things_that_are_surely_the_same_are_judged(now: list[Box], then: list[Box]) -> None:
    score = SpeedScore()
    score.add(boxes(*now), boxes(*then), flow(0, 0), flow(0, 0))
    assert score.report("dis") == {"things": 0}


def test_two_that_have_met_are_one_thing_at_most() -> None:
    score = SpeedScore()
    score.add(boxes((20, 40, 24, 16), (20, 64, 24, 16)), boxes((20, 50, 24, 16)), flow(10, 0), flow(0, 0))
    assert score.report("dis") == {"things": 1, "speed_error": 0.0, "dis_speed_error": 1.0}
