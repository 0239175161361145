"""When a rule applies: hours of the day and days of the week, in local time."""

from datetime import datetime, time, timedelta

from pipeline.base.event import Moment
from pipeline.base.watched import DAYS


class OpeningHours:
    """Hours such as ``22:00-06:00`` or ``mon-fri 08:00-17:30``; a span belongs to the day it begins on.

    Args:
        texts: Spans; a moment must fall within one of them. An empty list means always.

    Raises:
        ValueError: A text cannot be parsed.
    """

    def __init__(self, texts: list[str]) -> None:
        self._spans = [_span(text) for text in texts]

    def holds(self, now: Moment) -> bool:
        """Whether a moment falls within the hours."""
        if not self._spans:
            return True
        local = datetime.fromtimestamp(now.wall_ns / 1e9)
        since = timedelta(hours=local.hour, minutes=local.minute, seconds=local.second)
        return any(
            (local.weekday() in days and begins <= since < ends)
            or ((local.weekday() - 1) % 7 in days and since + timedelta(days=1) < ends)
            for days, begins, ends in self._spans
        )


def _span(text: str) -> tuple[set[int], timedelta, timedelta]:
    days, _, hours = text.rpartition(" ")
    first, _, last = days.partition("-")
    begins, ends = (_hour(part) for part in hours.split("-"))
    if not days:
        numbers = set(range(7))
    elif first not in DAYS or (last and last not in DAYS):
        raise ValueError(f"{text!r}: unknown day; expected one of: {', '.join(DAYS)}")
    else:
        start, end = DAYS.index(first), DAYS.index(last or first)
        numbers = {(start + n) % 7 for n in range((end - start) % 7 + 1)}
    return numbers, begins, ends if ends > begins else ends + timedelta(days=1)


def _hour(text: str) -> timedelta:
    hour, minute = map(int, text.split(":"))
    if (hour, minute) != (24, 0):
        time(hour, minute)
    return timedelta(hours=hour, minutes=minute)
