"""How old what is kept is, whatever the clock says at the start."""

from pipeline.base.present_time import PresentTime

DAY = 86_400 * 10**9
NEWEST = 20_000 * DAY


def test_a_clock_that_is_years_ahead_at_the_start_makes_nothing_old_but_time_does() -> None:
    present = PresentTime(NEWEST)
    assert present.at(NEWEST + 1825 * DAY) == NEWEST
    assert present.at(NEWEST + 1827 * DAY) == NEWEST + 2 * DAY


def test_it_is_never_later_than_the_clock_says() -> None:
    assert PresentTime(NEWEST).at(NEWEST - 5 * DAY) == NEWEST - 5 * DAY
    assert PresentTime(None).at(NEWEST) == NEWEST
