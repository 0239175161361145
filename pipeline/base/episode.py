"""Events with a duration: a start and the end that belongs to it."""

from typing import Any, NamedTuple

from pipeline.base.event import Event, Moment, event_id, rfc3339

_TOLD_AGAIN = ("label", "worker", "host", "streams")
"""Keys of a start's ``why`` that its end repeats: they say what it is about, not what led to it."""


class Episode(NamedTuple):
    """Something that has begun and was reported.

    Attributes:
        start: The event.
        since: When it began; may be before the start, which is told only once it has lasted for a while.
    """

    start: Event
    since: Moment

    def end(self, at: Moment, **why: Any) -> Event:
        """Its end.

        Args:
            at: When it ended.
            why: What has ended it, if that is something else than the scene.
        """
        return end_of(self.start, at.wall_ns, (at.time_ns - self.since.time_ns) / 1e9, **why)


def end_of(start: Event, wall_ns: int, for_s: float, **why: Any) -> Event:
    """The end of something of which only the start is known; its id depends on nothing but the start's id.

    So whoever ends it (a live rule, a sink that follows a killed one, rules over the log) makes an end with
    the same id, and nobody gets two.

    Args:
        start: Its start.
        wall_ns: When it ended, Unix time.
        for_s: How long it had lasted.
        why: What has ended it, if that is something else than the scene.
    """
    again = {key: start.why[key] for key in _TOLD_AGAIN if key in start.why}
    return Event(
        id=event_id(start.id, "end"),
        time=rfc3339(wall_ns),
        stream_id=start.stream_id,
        kind=start.kind,
        phase="end",
        start=start.id,
        rule=start.rule,
        zone=start.zone,
        line=start.line,
        thing=start.thing,
        for_s=round(for_s, 3),
        evidence=start.evidence,
        why={**again, **why},
    )
