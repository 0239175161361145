"""Scores detected objects against known movers, for sources with ground truth."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.base.moving_thing import Mover, Rectangle, Thing

_OVERLAP = 0.3
_LIKE_SIZE = 2.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """How right the things of one frame are.

    Attributes:
        judged: Things, without those on movers that nobody has to find.
        movers: Movers that have to be found.
        found: Those of them that a thing has found; so many things are right.
        direction_errors_deg: Of each thing that is right, 0 to 180.
    """

    judged: int
    movers: int
    found: int
    direction_errors_deg: list[float]


def judge(things: Sequence[Thing], movers: Sequence[Mover]) -> Verdict:
    """Compares the things of a frame with what is known to move in it.

    A thing has found a mover if their boxes overlap (intersection over union) by 0.3, or if the thing holds
    the mover's middle and the areas of both are within a factor of two. One thing finds one mover, and the
    other way round; pairs that overlap most come first.
    """
    pairs = sorted(
        (
            (_fit(thing.box, mover.box), t, m)
            for t, thing in enumerate(things)
            for m, mover in enumerate(movers)
        ),
        key=lambda pair: (not movers[pair[2]].is_sure, -pair[0]),
    )
    free, missed, errors = set(range(len(things))), set(range(len(movers))), []
    ignored = 0
    for fit, t, m in pairs:
        if fit <= 0 or t not in free:
            continue
        if not movers[m].is_sure:  # any number of things may be there
            free.remove(t)
            ignored += 1
        elif m in missed:
            free.remove(t)
            missed.remove(m)
            errors.append(_between(things[t].direction_deg, movers[m].direction_deg))
    sure = sum(mover.is_sure for mover in movers)
    return Verdict(len(things) - ignored, sure, len(errors), errors)


def _fit(box: Rectangle, mover: Rectangle) -> float:
    """Overlap of a thing with a mover that it has found, and a little more; 0 if it has not found it."""
    (x, y, width, height), (left, top, wide, tall) = box, mover
    across = max(0.0, min(x + width, left + wide) - max(x, left))
    down = max(0.0, min(y + height, top + tall) - max(y, top))
    area, mover_area, common = width * height, wide * tall, across * down
    overlap = common / (area + mover_area - common) if common else 0.0
    holds = x <= left + wide / 2 <= x + width and y <= top + tall / 2 <= y + height
    is_like = area <= _LIKE_SIZE * mover_area and mover_area <= _LIKE_SIZE * area
    return overlap + 1e-9 if overlap >= _OVERLAP or (holds and is_like) else 0.0


def _between(degrees: float, other: float) -> float:
    return abs((degrees - other + 180.0) % 360.0 - 180.0)
