"""Events: what is stored, shown and sent to outlets."""

import hashlib
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

EventKind: TypeAlias = Literal[
    "moving",
    "entered",
    "left",
    "crossed",
    "stayed",
    "stopped",
    "wrong_way",
    "label",
    "camera_moved",
    "covered",
    "dark",
    "over_exposed",
    "frozen",
    "blurred",
    "smeared",
    "signal_lost",
    "signal_back",
    "latency",
    "worker_down",
    "worker_up",
]
Phase: TypeAlias = Literal["start", "end", "once"]


class Moment(NamedTuple):
    """When something was seen.

    Attributes:
        time_ns: On the stream's timeline, see ``Frame.time_ns``.
        wall_ns: Unix time.
    """

    time_ns: int
    wall_ns: int


class Event(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One event; what it is not about is left out.

    Attributes:
        id: The same for the same event, whoever finds it and how often.
        time: When it happened, RFC 3339, UTC.
        stream_id: Where.
        kind: What.
        phase: ``start`` and ``end`` of what lasts, else ``once``.
        start: Of an ``end``: the id of its start.
        rule: The rule that asked for it.
        zone: Where in the picture.
        line: Which line was crossed.
        thing: Id of the thing, see ``Thing``.
        direction_deg: Where it went, as in mathematics: 0 = right, 90 = up.
        speed: In picture widths a second.
        speed_m_s: In metres a second, where ground is known.
        speed_m_s_error: How far off that may be: 95 of 100 are no further.
        size: Share of the picture that its box fills.
        for_s: How long it had lasted, in seconds.
        score: How surely it moved, 0 to 1.
        evidence: Folder of its pictures, as ``evidence.folder`` names it; they may come seconds later. An
            ``end`` has that of its start.
        why: What led to it, in words and numbers.
    """

    id: str
    time: str
    stream_id: str
    kind: EventKind
    phase: Phase
    start: str | None = None
    rule: str | None = None
    zone: str | None = None
    line: str | None = None
    thing: int | None = None
    direction_deg: float | None = None
    speed: float | None = None
    speed_m_s: float | None = None
    speed_m_s_error: float | None = None
    size: float | None = None
    for_s: float | None = None
    score: float | None = None
    evidence: str | None = None
    why: dict[str, Any] = {}


def event_id(*parts: object) -> str:
    """16 hexadecimal digits that stand for what an event is."""
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=8).hexdigest()


def rfc3339(unix_ns: int) -> str:
    """Such as ``2026-11-29T12:00:00.250Z``."""
    when = datetime.fromtimestamp(unix_ns // 1_000_000 / 1000, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix_ns(time: str) -> int:
    """Unix time of what ``rfc3339`` has written."""
    milliseconds = round(datetime.fromisoformat(time).timestamp() * 1000)
    return milliseconds * 1_000_000
