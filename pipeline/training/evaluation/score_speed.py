"""Scores speed and direction of objects against the motion of their ground-truth masks."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.training.evaluation.mask_sequences import Mask
from pipeline.training.evaluation.metrics import Report
from pipeline.training.evaluation.truth_files import Flow

_SMALLEST = 0.0005
"""Minimum area as a share of the frame."""
_LEAST_PX = 1.0
"""Minimum motion; the centre of a mask is accurate to about half a pixel."""
_ALIKE = 1.25
"""Maximum ratio of the two areas of an object; above it, the object is partly hidden in one frame."""
_FURTHEST = 0.7
"""Maximum motion as a share of the longer side of the box; beyond it, the match is ambiguous."""


class _Thing(NamedTuple):
    """A connected component of a mask: its pixels, centre, area, and the longer side of its box."""

    pixels: Mask
    middle: npt.NDArray[np.float64]
    area: int
    side: int


class SpeedScore:
    """Collects velocity errors of the objects of a sequence; an object's flow is the median of its pixels."""

    def __init__(self) -> None:
        """Starts empty."""
        self._errors: list[tuple[float, float]] = []

    def add(self, now: Mask, then: Mask, flow: Flow, baseline: Flow) -> None:
        """Adds one frame.

        Args:
            now: Moving pixels of the new frame, ``(H, W)``.
            then: Moving pixels of the past frame.
            flow: Flow from the new to the past frame, ``(H, W, 2)``.
            baseline: Flow of the baseline, of the same shape.
        """
        for pixels, went in _followed(_things(now), _things(then)):
            length = float(np.hypot(*went))
            error, other = (np.median(each[pixels], axis=0) - went for each in (flow, baseline))
            self._errors.append((float(np.hypot(*error)) / length, float(np.hypot(*other)) / length))

    def report(self, baseline: str) -> Report:
        """Number of tracked objects (``things``), and the median of their errors relative to the motion.

        The errors are ``speed_error`` and ``<baseline>_speed_error``; they are absent without objects.
        """
        if not self._errors:
            return {"things": 0}
        error, other = np.median(np.array(self._errors), axis=0).tolist()
        return {
            "things": len(self._errors),
            "speed_error": round(error, 4),
            f"{baseline}_speed_error": round(other, 4),
        }


def _things(moves: Mask) -> list[_Thing]:
    """Components of a mask that do not touch the frame border."""
    count, labels, boxes, middles = cv2.connectedComponentsWithStats(moves.astype(np.uint8), connectivity=8)
    height, width = moves.shape
    found = []
    for number in range(1, count):
        left, top, wide, tall, area = boxes[number].tolist()
        inside = left > 0 and top > 0 and left + wide < width and top + tall < height
        if inside and area >= _SMALLEST * moves.size:
            found.append(_Thing(labels == number, middles[number], area, max(wide, tall)))
    return found


def _followed(now: Sequence[_Thing], then: Sequence[_Thing]) -> list[tuple[Mask, npt.NDArray[np.float64]]]:
    """Objects matched reliably in both frames, and the motion of each from now to then."""
    pairs = []
    for thing in now:
        before = _nearest(thing, then)
        if before is None or _nearest(before, now) is not thing:
            continue
        went = before.middle - thing.middle
        larger = max(thing.area, before.area) / min(thing.area, before.area)
        if larger <= _ALIKE and _LEAST_PX <= np.hypot(*went) <= _FURTHEST * thing.side:
            pairs.append((thing.pixels, went))
    return pairs


def _nearest(thing: _Thing, others: Sequence[_Thing]) -> _Thing | None:
    return min(others, key=lambda other: float(np.hypot(*(other.middle - thing.middle))), default=None)
