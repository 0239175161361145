"""Describes in words what is seen now, what was seen in a run, and events."""

import math
from collections.abc import Mapping, Sequence

from pipeline.base.camera_velocity import CameraMotion
from pipeline.base.event import Event
from pipeline.base.moving_thing import Thing
from pipeline.base.picture_state import PictureState

NOTHING_MOVES = "nothing moving"
_MOST_NAMED = 3
IN_PLACE = 0.005
"""Widths per second; slower motion is in place: hands, leaves, somebody turning round."""
_STANDS = 0.02
"""Widths per second, at the left and right edge of the image; a camera below this counts as still."""
_BESIDE = 0.3
"""A second camera motion is named if it is at least this share of the largest."""
_HEALTH: Mapping[str, str] = {
    "ok": "image ok",
    "covered": "camera covered",
    "dark": "image too dark",
    "over_exposed": "image overexposed",
    "frozen": "image frozen",
    "blurred": "image blurred",
    "smeared": "image smeared",
    "signal_lost": "no frames arriving",
}
_ANSWERED = ("signal_lost", "worker_down")
"""Kinds whose end is followed by an event with the same content: ``signal_back``, ``worker_up``."""
DIRECTIONS = ("right", "up-right", "up", "up-left", "left", "down-left", "down", "down-right")
"""Anticlockwise from 0 degrees, 45 degrees apart."""


def in_words(things: Sequence[Thing]) -> str:
    """What is moving, such as "2 things moving: right 0.12 widths/s, left 0.05"; the fastest three."""
    if not things:
        return count_in_words(things)
    going = sorted((thing for thing in things if thing.speed >= IN_PLACE), key=lambda thing: -thing.speed)
    named, more, in_place = going[:_MOST_NAMED], len(going) - _MOST_NAMED, len(things) - len(going)
    parts = [f"{direction_name(thing.direction_deg)} {thing.speed:.2f}" for thing in named]
    if parts:
        parts[0] += " widths/s"
    if more > 0:
        parts.append(f"{more} more")
    if in_place:
        parts.append("in place" if in_place == len(things) else f"{in_place} in place")
    return f"{count_in_words(things)}: {', '.join(parts)}"


def count_in_words(things: Sequence[Thing]) -> str:
    """How many things are moving, such as "2 things moving"."""
    if not things:
        return NOTHING_MOVES
    return "1 thing moving" if len(things) == 1 else f"{len(things)} things moving"


def seen_now(things: Sequence[Thing], camera: CameraMotion | None) -> str:
    """Moving things, and the camera's motion unless it is still."""
    words = in_words(things)
    return f"{words}; {camera_in_words(camera)}" if camera is not None and _motions(camera) else words


def run_in_words(
    seen: int, moved_s: Mapping[str, float], longest_s: float | None, fastest: float | None
) -> str:
    """What was seen over a run: "9 things moved, most often left (62 % of the time) ...".

    Args:
        seen: Number of different things.
        moved_s: Seconds of motion, by direction.
        longest_s: Longest time, in seconds, for which a thing was tracked.
        fastest: Highest speed, in image widths per second.
    """
    if not seen:
        return "nothing moved"
    words = "1 thing moved" if seen == 1 else f"{seen} things moved"
    if total_s := sum(moved_s.values()):
        busiest = max(moved_s, key=lambda name: moved_s[name])
        share = moved_s[busiest] / total_s
        words += f", {'always' if share == 1 else 'most often'} {busiest}"
        words += f" ({share:.0%} of the time)" if share < 1 else ""
    if longest_s is not None:
        words += f"; longest {longest_s:.1f} s"
    if fastest is not None and fastest >= IN_PLACE:
        words += f", fastest {fastest:.2f} widths/s"
    return words


def health_in_words(state: PictureState, for_s: float) -> str:
    """An image state and its duration, such as "camera covered for 12 s"."""
    seconds = round(for_s)
    lasting = f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
    return f"{_HEALTH[state]} for {lasting}"


def event_in_words(event: Event) -> str:
    """An event in words, such as "gate: crossed forward, going left"; equal events have the same words."""
    if event.why.get("test") is True:
        return "this is a test message"
    going = "" if event.direction_deg is None else f", going {direction_name(event.direction_deg)}"
    seconds = round(event.for_s or 0)
    after, lasted = (f" {word} {f'{seconds} s' if seconds else 'less than 1 s'}" for word in ("after", "for"))
    words = {
        ("moving", "start"): "something is moving",
        ("moving", "end"): "nothing is moving any more",
        ("entered", "once"): f"something entered{going}",
        ("left", "once"): f"something left{going}",
        ("crossed", "once"): f"crossed {event.why.get('way', '')}{going}",
        ("stayed", "start"): f"something has stayed for {event.for_s or 0:.0f} s",
        ("stayed", "end"): "the object that stayed has left",
        ("stopped", "start"): "something has stopped" if event.thing else "all motion has stopped",
        ("stopped", "end"): "the object is moving again" if event.thing else "something is moving again",
        ("label", "start"): f"label {event.why.get('label', '')}",
        ("label", "end"): f"label {event.why.get('label', '')} has ended",
        ("wrong_way", "start"): f"something is moving the wrong way{going}",
        ("wrong_way", "end"): "nothing is moving the wrong way any more",
        ("signal_back", "once"): f"frames are arriving again{after}",
        ("worker_down", "start"): f"{_worker(event)} is down: {event.why.get('cause', '')}",
        ("worker_down", "end"): f"{_worker(event)} was down{lasted}",
        ("worker_up", "once"): f"{_worker(event)} is up again{after}",
        ("latency", "start"): f"prediction latency is {event.why.get('p50_ms', 0):.0f} ms "
        f"(limit {event.why.get('limit_ms', 0):g} ms)",
        ("latency", "end"): f"prediction latency was over the limit{lasted}",
    }
    for kind, fault in {**_HEALTH, "camera_moved": "camera turned away"}.items():
        what, _, how = fault.rpartition(" ") if kind == "signal_lost" else fault.partition(" ")
        was = "were" if kind == "signal_lost" else "was"
        words |= {(kind, "start"): fault, (kind, "end"): f"{what} {was} {how}{lasted}"}
    what = words.get((event.kind, event.phase), f"{event.kind} {event.phase}".replace("_", " "))
    where = event.zone or event.line
    return f"{where}: {what}" if where else what


def _worker(event: Event) -> str:
    worker, host = event.why.get("worker", ""), event.why.get("host")
    return f"{worker} on {host}" if host else f"{worker}"


def is_answered(event: Event) -> bool:
    """Whether the next event has the same content: ``signal_back`` or ``worker_up`` follows this end."""
    return event.phase == "end" and event.kind in _ANSWERED and "ended" not in event.why


def counts_by_kind(events: Mapping[str, int]) -> str:
    """Events by kind, such as "crossed 3, moving 1"; an event with a start and an end counts once."""
    return ", ".join(f"{kind} {count}" for kind, count in sorted(events.items()) if count)


def direction_name(direction_deg: float) -> str:
    """The nearest of the eight ``DIRECTIONS``."""
    return DIRECTIONS[_eighth(direction_deg)]


def camera_in_words(camera: CameraMotion) -> str:
    """The camera's motion, such as "camera pans right and zooms in"; the larger motion comes first."""
    motions = _motions(camera)
    return f"camera {' and '.join(words for _, words in motions[:2])}" if motions else "camera still"


def camera_symbol(camera: CameraMotion) -> str:
    """One symbol for the camera's largest motion."""
    return next((symbol for symbol, _ in _motions(camera)), "■")


def _motions(camera: CameraMotion) -> list[tuple[str, str]]:
    """The camera's motions as symbols and words, largest first; only ``shakes`` for a shaking camera."""
    if camera.shake > max(2 * _STANDS, camera.speed):
        return [("↔", "shakes")]
    eighth = _eighth(camera.direction_deg)
    turns = ("pans", "turns", "tilts", "turns")[eighth % 4]
    motions = [
        (camera.speed, "→↗↑↖←↙↓↘"[eighth], f"{turns} {DIRECTIONS[eighth]}"),
        (abs(camera.zoom) / 2, *(("⊕", "zooms in") if camera.zoom > 0 else ("⊖", "zooms out"))),
        (
            math.radians(abs(camera.roll_deg)) / 2,
            *(("↺", "rolls anticlockwise") if camera.roll_deg > 0 else ("↻", "rolls clockwise")),
        ),
    ]
    least = max(_STANDS, _BESIDE * max(size for size, *_ in motions))
    sizable = sorted((motion for motion in motions if motion[0] > least), reverse=True)
    return [(symbol, words) for _, symbol, words in sizable]


def _eighth(direction_deg: float) -> int:
    return round(direction_deg / 45) % len(DIRECTIONS)
