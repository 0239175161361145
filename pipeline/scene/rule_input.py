"""The input of rules, quantised as in the motion log, so that a replay gives the same events."""

import msgspec

from pipeline.base.event import Moment
from pipeline.base.moving_thing import Point, Rectangle, Thing, within_turn
from pipeline.base.sight import Sight, is_scale
from pipeline.scene.steady_label import Held

TICK_NS = 1_000_000
"""Of times."""
BOX_STEPS = 1024
"""In the width or height of a picture."""
SPEED_STEPS = 1000
"""In a picture width a second."""
TURN_STEPS = 240
"""In a full turn."""
SCORE_STEPS = 50
SHARE_STEPS = 10
SIGHT_STEPS = 256
"""In a picture width, or of a factor."""
_NO_POINTS, _NO_BOXES = list[Point](), list[Rectangle]()
"""Of all things alike: three lists each are the larger part of what they cost."""
MOST_SPEED = 1e6
"""Picture widths a second; more is no speed."""


class Look(msgspec.Struct, kw_only=True, frozen=True, gc=False):  # an hour has 90,000, none in a circle
    """One prediction.

    Attributes:
        session: Of its frame: a capture worker has another one after a restart.
        now: When its frame was captured.
        depth: How many past frames it saw; 0: nothing is known of motion.
        things: Those that were seen in it, not those that are out of sight; as seen from the reference view.
        sight: Where that view is in the picture; None where none is followed.
        label: The label that counts; None for none, and for the camera motions of the shipped model.
    """

    session: int
    now: Moment
    depth: int
    things: list[Thing]
    sight: Sight | None = None
    label: Held | None = None


class Cut(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Between two looks: all that had begun was ended.

    Attributes:
        why: What has ended it, in words.
    """

    why: str


STARTED = Cut("the sink was killed")
"""Comes before the first look of each sink: what an earlier one has left open was ended because of that."""


def in_steps(look: Look) -> Look:
    """The same look in steps, its things by id; what is so already stays as it is."""
    return Look(
        session=look.session,
        now=_moment_in_ticks(look.now),
        depth=look.depth,
        things=[_thing_in_steps(thing) for thing in sorted(look.things, key=lambda thing: thing.id)],
        sight=_sight_in_steps(look.sight) if look.sight else None,
        label=_label_in_steps(look.label) if look.label else None,
    )


def thing_of_steps(number: int, box: Rectangle, speed: float, direction_deg: float, score: float) -> Thing:
    """A thing with what is kept of it."""
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
    """Coarse, so that it is seldom another one: where things are in the view is known already."""
    factor = _placed(sight.factor)
    return msgspec.structs.replace(
        sight,
        share=round(sight.share * SHARE_STEPS) / SHARE_STEPS,
        factor=factor if is_scale(factor) else sight.factor,  # at the end of the range
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
