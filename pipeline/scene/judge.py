"""Scores detected objects against the ground truth of sources that have it."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.base.moving_thing import Mover, Rectangle, Thing

_OVERLAP = 0.3
_LIKE_SIZE = 2.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Accuracy of the things of one frame.

    Attributes:
        judged: Number of things, excluding those that match movers that need not be found.
        movers: Number of movers that must be found.
        found: Number of those matched by a thing: the true positives.
        direction_errors_deg: Direction error of each true positive, 0 to 180.
    """

    judged: int
    movers: int
    found: int
    direction_errors_deg: list[float]


def judge(things: Sequence[Thing], movers: Sequence[Mover]) -> Verdict:
    """Compares the things of a frame with its ground truth.

    A thing matches a mover if their boxes overlap (intersection over union) by 0.3, or if the thing contains
    the mover's centre and their areas are within a factor of two. Matching is one-to-one; the pairs that
    overlap most are matched first.
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
        if not movers[m].is_sure:  # any number of things may match it
            free.remove(t)
            ignored += 1
        elif m in missed:
            free.remove(t)
            missed.remove(m)
            errors.append(_between(things[t].direction_deg, movers[m].direction_deg))
    sure = sum(mover.is_sure for mover in movers)
    return Verdict(len(things) - ignored, sure, len(errors), errors)


def _fit(box: Rectangle, mover: Rectangle) -> float:
    """Overlap of a thing with a mover, plus a small constant, if they match; otherwise 0."""
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
