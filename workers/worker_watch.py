"""Reports workers that go down or come back, with one event per cause."""

from collections.abc import Collection, Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from pipeline.base.episode import Episode
from pipeline.base.event import Event, Moment, event_id, rfc3339, unix_ns

Who: TypeAlias = tuple[str, str]
"""A worker's name and host; for a link, its peer and an empty string."""
DIED_NS = 2_000_000_000
"""Delay before a death is reported, and before a worker counts as back."""
NO_ANSWER_NS = 5_000_000_000
"""Silence is weaker evidence than a death: a step may be slow or the machine busy."""


class Outage(NamedTuple):
    """A worker that is down now, or a link to one.

    Attributes:
        who: The worker or link.
        role: Its role.
        cause: The cause, as text.
        since_ns: Unix time at which it began.
        patience_ns: Delay before it is reported.
        streams: Streams whose frames or predictions are missing; None for all.
    """

    who: Who
    role: str
    cause: str
    since_ns: int
    patience_ns: int
    streams: list[str] | None = None

    @property
    def is_link(self) -> bool:
        """Whether only the loss of a link is known."""
        return not self.who[1]

    def hides(self, stream_id: str) -> bool:
        """Whether frames or predictions of a stream are missing because of it."""
        return self.streams is None or stream_id in self.streams


def is_explained(link: Outage, workers: Iterable[Outage], streams: Collection[str]) -> bool:
    """Whether workers of its role that are down explain all streams affected by a lost link.

    Args:
        link: The link.
        workers: Workers of any role that are down.
        streams: All known streams.
    """
    same = [one for one in workers if one.role == link.role]
    hidden = [name for name in streams if link.hides(name)]
    if not same or (streams and not hidden):
        return False
    return all(any(one.hides(name) for one in same) for name in hidden)


@dataclass
class _Absence:
    """A reported absence of a worker: its start, its streams, and when the worker was seen again."""

    since_ns: int
    streams: list[str]
    episode: Episode | None = None
    back_ns: int | None = None


class WorkerWatch:
    """Tracks all workers that a sink depends on.

    Args:
        now_ns: Unix time at which the sink starts; an earlier sink reported what happened before.
    """

    def __init__(self, now_ns: int) -> None:
        self._begun_ns = now_ns
        self._pending: dict[Who, int] = {}
        self._absent: dict[Who, _Absence] = {}

    def down_before(self, end: Event) -> None:
        """Notes that an earlier sink reported a worker as down; that event ended with the sink.

        Args:
            end: The end event of that ``worker_down``.
        """
        who = str(end.why.get("worker", "")), str(end.why.get("host", ""))
        since_ns = unix_ns(end.time) - round((end.for_s or 0.0) * 1e9)
        self._absent.setdefault(who, _Absence(since_ns, end.why.get("streams", [end.stream_id])))

    def look(
        self, now_ns: int, outages: Sequence[Outage], up: Set[Who], streams: Iterable[str]
    ) -> list[Event]:
        """Returns new events; call it several times per second.

        Args:
            now_ns: Unix time.
            outages: All current outages.
            up: Workers and links that are known to work.
            streams: Streams that have not ended. An outage that affects none of them is not reported.
        """
        streams = sorted(streams)
        workers = [one for one in outages if not one.is_link]
        pending, self._pending = self._pending, {}
        events = []
        for one in outages:
            is_told_of = one.is_link and is_explained(one, workers, streams)
            since_ns = self._pending[one.who] = now_ns if is_told_of else pending.get(one.who, one.since_ns)
            absence = self._absent.get(one.who)
            if absence:
                absence.back_ns = None
            hidden = [name for name in streams if one.hides(name)]
            is_told = absence is not None and absence.episode is not None
            if hidden and not is_told and now_ns - since_ns >= one.patience_ns:
                events.append(self._begin(one, hidden))
        for who in sorted(self._absent.keys() & up - self._pending.keys()):
            events += self._come_back(who, now_ns)
        return events

    def end(self, why: str, now_ns: int) -> list[Event]:
        """Ends all open events when the sink stops."""
        absent, self._absent = self._absent, {}
        now = Moment(now_ns, now_ns)
        return [one.episode.end(now, ended=why) for one in absent.values() if one.episode]

    def _begin(self, one: Outage, hidden: list[str]) -> Event:
        since_ns = max(one.since_ns, self._begun_ns)
        start = Event(
            id=event_id(*one.who, "worker_down", "start", since_ns),
            time=rfc3339(since_ns),
            stream_id=hidden[0],
            kind="worker_down",
            phase="start",
            why={**_about(one.who, hidden), "cause": one.cause},
        )
        absence = self._absent.setdefault(one.who, _Absence(since_ns, hidden))
        absence.streams, absence.episode = hidden, Episode(start, Moment(since_ns, since_ns))
        return start

    def _come_back(self, who: Who, now_ns: int) -> list[Event]:
        """Reports a worker as back once it has been up for a while; the event has the time it came up."""
        absence = self._absent[who]
        back_ns = absence.back_ns = absence.back_ns or now_ns
        if now_ns - back_ns < DIED_NS:
            return []
        del self._absent[who]
        ends = [absence.episode.end(Moment(back_ns, back_ns))] if absence.episode else []
        up = Event(
            id=event_id(*who, "worker_up", back_ns),
            time=rfc3339(back_ns),
            stream_id=absence.streams[0],
            kind="worker_up",
            phase="once",
            for_s=round(max(back_ns - absence.since_ns, 0) / 1e9, 3),
            why=_about(who, absence.streams),
        )
        return [*ends, up]


def _about(who: Who, streams: list[str]) -> dict[str, Any]:
    worker, host = who
    why: dict[str, Any] = {"worker": worker, "host": host} if host else {"worker": worker}
    return {**why, "streams": streams} if len(streams) > 1 else why
