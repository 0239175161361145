from datetime import datetime

import pytest

from pipeline.base.event import Moment
from pipeline.scene.hours import OpeningHours


def holds(text: str, when: str) -> bool:
    return OpeningHours([text]).holds(Moment(0, int(datetime.fromisoformat(when).timestamp() * 1e9)))


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("08:00-17:30", "2026-11-29 08:00", "2026-11-29 17:30"),
        ("22:00-06:00", "2026-11-29 23:59", "2026-11-29 21:59"),
        ("22:00-06:00", "2026-11-29 05:59", "2026-11-29 06:00"),
        ("mon-fri 08:00-17:30", "2026-11-30 12:00", "2026-11-29 12:00"),  # the 29th is a Sunday
        ("sat 22:00-06:00", "2026-11-29 03:00", "2026-11-28 03:00"),  # the night from Saturday to Sunday
        ("fri-mon 00:00-24:00", "2026-11-29 12:00", "2026-12-01 12:00"),
        ("00:00-00:00", "2026-11-29 12:00", None),
    ],
)
def test_hours_of_days_and_nights(text: str, inside: str, outside: str | None) -> None:
    assert holds(text, inside)
    assert outside is None or not holds(text, outside)


def test_without_hours_it_always_holds_and_with_several_any_may() -> None:
    noon = Moment(0, int(datetime(2026, 11, 29, 12).timestamp() * 1e9))
    assert OpeningHours([]).holds(noon)
    assert OpeningHours(["01:00-02:00", "11:00-13:00"]).holds(noon)
    assert not OpeningHours(["01:00-02:00", "13:00-14:00"]).holds(noon)


@pytest.mark.parametrize("text", ["mon-xyz 08:00-17:00", "abc 08:00-17:00", "25:00-26:00"])
def test_no_such_day_or_hour_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"unknown day; expected one of: mon, tue|hour must be in"):
        OpeningHours([text])
