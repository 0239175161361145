"""The input of rules, quantised as in the motion log, so that a replay gives the same events."""

import msgspec

from pipeline.base.event import Moment
from pipeline.base.moving_thing import Point, Rectangle, Thing, within_turn
from pipeline.base.sight import Sight, is_scale
from pipeline.scene.steady_label import Held

TICK_NS = 1_000_000
"""Resolution of times."""
BOX_STEPS = 1024
"""Steps per image width or height."""
SPEED_STEPS = 1000
"""Steps per image width per second."""
TURN_STEPS = 240
"""Steps per full turn."""
SCORE_STEPS = 50
SHARE_STEPS = 10
SIGHT_STEPS = 256
"""Steps per image width, or per unit of a factor."""
_NO_POINTS, _NO_BOXES = list[Point](), list[Rectangle]()
"""Shared by all things, because three new lists for each would take most of the time."""
MOST_SPEED = 1e6
"""Image widths per second; larger values are clipped."""


class Look(msgspec.Struct, kw_only=True, frozen=True, gc=False):  # 90,000 per hour, no reference cycles
    """One prediction.

    Attributes:
        session: Session of its frame: a capture worker gets a new one when it restarts.
        now: When its frame was captured.
        depth: Number of past frames used; 0 if no motion is known.
        things: Those seen in it, in coordinates of the reference view; things out of sight are left out.
        sight: Position of that view in the image; None if none is tracked.
        label: The steady label; None if there is none. Camera-motion labels of the shipped model are ignored.
    """

    session: int
    now: Moment
    depth: int
    things: list[Thing]
    sight: Sight | None = None
    label: Held | None = None


class Cut(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """A break between two predictions, at which all open episodes were ended.

    Attributes:
        why: The reason, in words.
    """

    why: str


STARTED = Cut("the sink was killed")
"""Precedes the first prediction of each sink: ends the episodes that an earlier sink left open."""


def in_steps(look: Look) -> Look:
    """The prediction, quantised and with its things sorted by id; quantised input is returned unchanged."""
    return Look(
        session=look.session,
        now=_moment_in_ticks(look.now),
        depth=look.depth,
        things=[_thing_in_steps(thing) for thing in sorted(look.things, key=lambda thing: thing.id)],
        sight=_sight_in_steps(look.sight) if look.sight else None,
        label=_label_in_steps(look.label) if look.label else None,
    )


def thing_of_steps(number: int, box: Rectangle, speed: float, direction_deg: float, score: float) -> Thing:
    """A thing with only the fields that the log keeps."""
    return Thing(
        id=number,
        box=box,
        outline=_NO_POINTS,
        speed=speed,
        direction_deg=direction_deg,
        age_ms=0.0,
        score=score,
        trail=_NO_POINTS,
        was=_NO_BOXES,
    )


def _sight_in_steps(sight: Sight) -> Sight:
    """The sight, quantised coarsely so that it seldom changes: things already have positions in the view."""
    factor = _placed(sight.factor)
    return msgspec.structs.replace(
        sight,
        share=round(sight.share * SHARE_STEPS) / SHARE_STEPS,
        factor=factor if is_scale(factor) else sight.factor,  # at the limit of the range
        offset=_placed(sight.offset),
    )


def _placed(value: tuple[float, float]) -> tuple[float, float]:
    real, imaginary = (round(part * SIGHT_STEPS) / SIGHT_STEPS for part in value)
    return real, imaginary


def _label_in_steps(held: Held) -> Held:
    return Held(held.label, round(held.score * SCORE_STEPS) / SCORE_STEPS, _moment_in_ticks(held.since))


def _moment_in_ticks(moment: Moment) -> Moment:
    return Moment(*(time_ns // TICK_NS * TICK_NS for time_ns in moment))


def _thing_in_steps(thing: Thing) -> Thing:
    left, top, width, height = (round(share * BOX_STEPS) / BOX_STEPS for share in thing.box)
    turn = round(within_turn(thing.direction_deg) * TURN_STEPS / 360) % TURN_STEPS
    return thing_of_steps(
        thing.id,
        (left, top, width, height),
        round(min(thing.speed, MOST_SPEED) * SPEED_STEPS) / SPEED_STEPS,
        turn * 360 / TURN_STEPS,
        round(thing.score * SCORE_STEPS) / SCORE_STEPS,
    )
