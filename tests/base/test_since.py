import pytest

from pipeline.base.clock import now_ns
from pipeline.base.errors import UserError
from pipeline.base.since import since_ns


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("24h", 86_400), ("7d", 604_800)])
def test_so_long_ago(text: str, seconds: int) -> None:
    before = now_ns()
    since = since_ns(text)
    assert before <= since + seconds * 10**9 <= now_ns()


def test_a_time_of_any_zone() -> None:
    expected = 1_795_953_600_250 * 10**6
    assert since_ns("2026-11-29T12:00:00.250Z") == expected
    assert since_ns("2026-11-29T13:00:00.250+01:00") == expected


@pytest.mark.parametrize("text", ["", "5x", "-3h", "2026-13-01", "yesterday", "٣h", "1e3s"])
def test_anything_else_is_one_line_that_says_what_to_write(text: str) -> None:
    with pytest.raises(UserError, match=r"expected an age \(90s, 30m, 24h, 7d\) or a time \(2026") as error:
        since_ns(text)
    assert str(error.value).startswith(f"{text}: ")
    assert "\n" not in str(error.value)
