import random
from itertools import pairwise

import numpy as np
import pytest

from pipeline.video.pace import Pacer, Thinning
from pipeline.video.source import Picture


def picture(pts_s: float | None) -> Picture:
    pts_ns = None if pts_s is None else int(pts_s * 1e9)
    return Picture(np.zeros((2, 2, 3), np.uint8), 0, pts_ns)


def test_waits_as_long_as_the_time_stamps_say() -> None:
    pacer = Pacer(25.0)
    assert pacer.wait_s(picture(100.0)) == 0
    assert 4 < pacer.wait_s(picture(105.0)) <= 5
    assert 7 < pacer.wait_s(picture(108.0)) <= 8


def test_without_time_stamps_the_rate_counts() -> None:
    pacer = Pacer(0.2)
    assert pacer.wait_s(picture(None)) == 0
    assert 4 < pacer.wait_s(picture(None)) <= 5


@pytest.mark.parametrize("jump_s", [-50.0, 3600.0])
def test_a_jump_in_the_time_stamps_is_one_usual_step(jump_s: float) -> None:
    pacer = Pacer(0.2)
    pacer.wait_s(picture(100.0))
    assert 4 < pacer.wait_s(picture(100.0 + jump_s)) <= 5


@pytest.mark.parametrize(("fps", "taken"), [(10.0, 100), (12.0, 120), (25.0, 250)])
def test_a_fast_source_is_thinned_out_to_the_wanted_rate_on_average(fps: float, taken: int) -> None:
    thinning, jitter = Thinning(fps), random.Random(1)
    times = [int((number + jitter.uniform(-0.2, 0.2)) * 1e9 / 30) for number in range(300)]
    assert sum(map(thinning.takes, times)) == pytest.approx(taken, abs=2)


def test_a_divisor_of_the_source_s_rate_gives_even_steps_in_spite_of_jitter() -> None:
    thinning, jitter = Thinning(10.0), random.Random(1)
    times = [int((number / 30 + jitter.uniform(-0.004, 0.004)) * 1e9) for number in range(300)]
    taken = [time_ns for time_ns in times if thinning.takes(time_ns)]
    steps_ms = [(later - sooner) / 1e6 for sooner, later in pairwise(taken)]
    assert all(90 < step_ms < 110 for step_ms in steps_ms), steps_ms


def test_after_a_pause_frames_are_not_taken_faster() -> None:
    thinning = Thinning(10.0)
    seconds = [0.0, 0.05, 0.1, 5.0, 5.05, 5.1, 4.0, 4.05]
    assert [thinning.takes(int(one * 1e9)) for one in seconds] == [
        True,
        False,
        True,
        True,
        False,
        True,
        True,
        False,
    ]
