"""How often something happens."""

import pytest

from pipeline.base.rate import Rate


def test_rate_forgets_what_left_the_window() -> None:
    rate = Rate(window_s=1.0)
    for i in range(101):
        rate.tick(i * 10_000_000)
    assert rate.fps(1_000_000_000) == pytest.approx(100)
    assert rate.fps(5_000_000_000) == 0.0


def test_a_burst_is_no_rate() -> None:
    rate = Rate()
    for i in range(4):
        rate.tick(i * 1_000_000)
    assert rate.fps(4_000_000) == 0.0
