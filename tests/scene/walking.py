"""Things that go where they are told, as a tracker would report them."""

import math
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import pairwise

from pipeline.base.event import Event, Moment
from pipeline.base.moving_thing import Thing, within_turn
from pipeline.base.watched import Watch
from pipeline.scene.rule_book import RuleBook

Way = Callable[[float], tuple[float, float] | None]
"""The foot of a thing at a time in seconds, in shares of the picture; None while it is not seen."""

START_NS = 1_790_000_000 * 10**9


def straight(x: float, y: float, dx: float, dy: float, begins: float = 0.0, ends: float = math.inf) -> Way:
    """At ``x, y`` when it begins, then ``dx, dy`` a second."""
    return lambda t: (x + dx * (t - begins), y + dy * (t - begins)) if begins <= t <= ends else None


def through(*stops: tuple[float, float, float]) -> Way:
    """From stop to stop, each a time, x and y."""

    def way(t: float) -> tuple[float, float] | None:
        for (t0, x0, y0), (t1, x1, y1) in pairwise(stops):
            if t0 <= t <= t1:
                share = (t - t0) / (t1 - t0)
                return x0 + (x1 - x0) * share, y0 + (y1 - y0) * share
        return None

    return way


def slowing(x: float, y: float, dx: float, dy: float, stops: float, goes_on: float = math.inf) -> Way:
    """Comes to rest within 0.4 s, and is soon out of sight; may go on the same way later."""

    def way(t: float) -> tuple[float, float] | None:
        slower = min(max(t - stops, 0.0), 0.4)
        if stops + 0.25 < t < goes_on:
            return None
        gone = min(t, stops) + slower - slower**2 / 0.8 + max(t - goes_on, 0.0)
        return x + dx * gone, y + dy * gone

    return way


def thing(number: int, way: Way, t: float, side: float = 0.1) -> Thing | None:
    """A thing of ``side`` shares on its way; None while it is not seen, or out of the picture."""
    here, before = way(t), way(t - 0.04)
    if here is None or not (0 < here[0] < 1 and 0 < here[1] < 1 + side):
        return None
    dx, dy = ((now - was) / 0.04 for now, was in zip(here, before or here, strict=True))
    left, top = here[0] - side / 2, here[1] - side
    box = (
        max(left, 0.0),
        max(top, 0.0),
        min(left + side, 1.0) - max(left, 0.0),
        min(here[1], 1.0) - max(top, 0.0),
    )
    direction = within_turn(math.degrees(math.atan2(-dy, dx)))
    return Thing(
        id=number, box=box, outline=[], speed=math.hypot(dx, dy), direction_deg=direction, age_ms=0, score=0.9
    )


def walked(ways: dict[int, Way], seconds: float, fps: float = 25.0) -> Iterator[tuple[Moment, list[Thing]]]:
    """The things of each frame."""
    for n in range(round(seconds * fps) + 1):
        now = Moment(round(n / fps * 1e9) + 1, START_NS + round(n / fps * 1e9))
        yield now, [seen for number, way in ways.items() if (seen := thing(number, way, n / fps))]


def told(watch: Watch, ways: dict[int, Way], seconds: float, fps: float = 25.0) -> list[Event]:
    """The events of a walk, those that end with the stream included."""
    book, events = RuleBook("door", watch), []
    for now, things in walked(ways, seconds, fps):
        events += book.update(things, now)
    return events + book.end(now, "the stream has ended")


def second(event: Event) -> float:
    """When it happened, from the start of the walk."""
    return datetime.fromisoformat(event.time).timestamp() - START_NS / 1e9
