"""Events with a duration: a start and its matching end."""

from typing import Any, NamedTuple

from pipeline.base.event import Event, Moment, event_id, rfc3339

_TOLD_AGAIN = ("label", "worker", "host", "streams")
"""Keys of a start event's ``why`` that its end event repeats: they identify the subject, not the cause."""


class Episode(NamedTuple):
    """An ongoing event whose start was reported.

    Attributes:
        start: The start event.
        since: When it began; may be earlier than ``start``, which is reported only after a minimum duration.
    """

    start: Event
    since: Moment

    def end(self, at: Moment, **why: Any) -> Event:
        """The matching end event.

        Args:
            at: When it ended.
            why: What ended it, if not a change in the scene.
        """
        return end_of(self.start, at.wall_ns, (at.time_ns - self.since.time_ns) / 1e9, **why)


def end_of(start: Event, wall_ns: int, for_s: float, **why: Any) -> Event:
    """The end event for a start; its id depends only on the id of the start.

    A live rule, a sink that replaces a killed one and a replay of the log therefore create the same id, and
    duplicates can be dropped.

    Args:
        start: The start event.
        wall_ns: When it ended, Unix time in ns.
        for_s: Duration in seconds.
        why: What ended it, if not a change in the scene.
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
