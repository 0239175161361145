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
    """A point in time on two clocks.

    Attributes:
        time_ns: On the stream's timeline, see ``Frame.time_ns``.
        wall_ns: Unix time in ns.
    """

    time_ns: int
    wall_ns: int


class Event(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One event; keys that do not apply are left out.

    Attributes:
        id: 16 hexadecimal digits; the same frames and rules always give the same id.
        time: When it happened, not when it was detected: RFC 3339, UTC, on the capturing machine's clock.
        stream_id: The stream. Events about a worker name the first of its streams.
        kind: What happened.
        phase: ``start`` and ``end`` of an event with a duration, otherwise ``once``.
        start: In an ``end``: the id of its start.
        rule: Name of the rule.
        zone: Name of the zone.
        line: Name of the line.
        thing: Number of the moving object, as in ``--predictions``.
        direction_deg: Direction of motion, anticlockwise: 0 is right, 90 is up.
        speed: Speed, in image widths per second.
        speed_m_s: Speed in metres per second, where the ground is calibrated.
        speed_m_s_error: Error bound of that speed: 95 % of errors are within it.
        size: Share of the image that the object's box fills.
        for_s: How long it had lasted at the time of the event, in seconds.
        score: Confidence, 0 to 1.
        evidence: Folder of its images and clips, which are written within seconds; an ``end`` event names
            the folder of its start.
        why: Details, by kind.
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
    """Hashes the values that identify an event to 16 hexadecimal digits."""
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=8).hexdigest()


def rfc3339(unix_ns: int) -> str:
    """Formats a Unix time in ns, for example ``2026-11-29T12:00:00.250Z``."""
    when = datetime.fromtimestamp(unix_ns // 1_000_000 / 1000, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix_ns(time: str) -> int:
    """Parses the output of ``rfc3339`` into a Unix time in ns."""
    milliseconds = round(datetime.fromisoformat(time).timestamp() * 1000)
    return milliseconds * 1_000_000
