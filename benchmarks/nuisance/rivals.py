"""Classical motion detectors, and a tracker for their boxes."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt
from cv2.typing import MatLike

from pipeline.base.frame import Image
from pipeline.base.moving_thing import Rectangle, Thing, within_turn

Mask = npt.NDArray[np.uint8]
_THREE = np.ones((3, 3), np.uint8)


class Mog2:
    """MOG2 as in typical scripts: OpenCV's defaults, shadows ignored, then a median filter and contours."""

    def __init__(self) -> None:
        """Starts with an empty model."""
        self._model = cv2.createBackgroundSubtractorMOG2()

    def boxes(self, image: Image) -> list[Rectangle]:
        """Boxes of what moves, as shares of the image."""
        labels = self._model.apply(image)
        mask = np.asarray(cv2.medianBlur(labels, 5) == 255, np.uint8)
        mask = np.asarray(cv2.dilate(mask, _THREE, iterations=2), np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        return _boxes(contours, mask)


class Differencing:
    """Differences from a running average, as in Frigate's motion detector with its default settings.

    Frames are grey and 100 px high, with the contrast stretched to the range of the last 50 frames. If more
    than 80 % of a frame changes at once, it recalibrates and reports no boxes. Unlike in Frigate, the initial
    background is the first frame: with a black one, the detector would keep recalibrating, and report no
    boxes, in rain or camera shake.
    """

    _HEIGHT, _THRESHOLD, _LIGHTNING, _ALPHA, _LEARNS, _WAITS = 100, 30, 0.8, 0.01, 0.2, 10
    _LEAST_AREA, _CALM_SHARE, _CALM_BOXES = 10, 0.05, 4

    def __init__(self) -> None:
        """Starts with an empty model."""
        self._average: npt.NDArray[np.float32] | None = None
        self._contrasts: deque[tuple[float, float]] = deque([(0.0, 255.0)] * 50, maxlen=50)
        self._is_calibrating, self._moved = False, 0

    def boxes(self, image: Image) -> list[Rectangle]:
        """Boxes of what moves, as shares of the image."""
        width = self._HEIGHT * image.shape[1] // image.shape[0]
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        grey = cv2.resize(grey, (width, self._HEIGHT), interpolation=cv2.INTER_NEAREST)
        grey = cv2.GaussianBlur(self._stretched(np.asarray(grey, np.uint8)), (3, 3), 1.0)
        if self._average is None:
            self._average = grey.astype(np.float32)
        delta = cv2.absdiff(grey, cv2.convertScaleAbs(self._average))
        changed = np.asarray(delta > self._THRESHOLD, np.uint8)
        mask = np.asarray(cv2.dilate(changed, _THREE, iterations=1), np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        areas = [cv2.contourArea(contour) for contour in contours]
        large = [contour for contour, area in zip(contours, areas, strict=True) if area > self._LEAST_AREA]
        share, boxes = sum(areas) / mask.size, _boxes(large, mask)
        if share < self._CALM_SHARE and len(boxes) <= self._CALM_BOXES:
            self._is_calibrating = False
        if share > self._LIGHTNING:
            self._is_calibrating = True
        self._moved = self._moved + 1 if boxes else 0
        if not boxes or self._moved >= self._WAITS:
            cv2.accumulateWeighted(grey, self._average, self._LEARNS if self._is_calibrating else self._ALPHA)
        return [] if self._is_calibrating else boxes

    def _stretched(self, grey: Mask) -> Mask:
        darkest, brightest = np.percentile(grey, (4, 96))
        if darkest < brightest:
            self._contrasts.append((darkest, brightest))
            low, high = np.mean(self._contrasts, axis=0)
            grey = np.asarray((np.clip(grey, low, high) - low) / (high - low) * 255, np.uint8)
        return grey


def _boxes(contours: Sequence[MatLike], mask: Mask) -> list[Rectangle]:
    rows, columns = mask.shape
    found = (cv2.boundingRect(contour) for contour in contours)
    return [(x / columns, y / rows, wide / columns, tall / rows) for x, y, wide, tall in found]


@dataclass(slots=True)
class _Track:
    number: int
    box: Rectangle
    seen: int = 1
    missed: int = 0
    way: deque[tuple[int, float, float]] = field(default_factory=lambda: deque(maxlen=5))


class BoxTracker:
    """Assigns each box to the nearest track; a track is reported after three frames, like our objects.

    Args:
        least_size: Minimum area of a box, as a share of the frame.
    """

    _REACH, _FORGIVES = 0.12, 5

    def __init__(self, least_size: float) -> None:
        self._least_size = least_size
        self._tracks: list[_Track] = []
        self._count = 0

    def update(self, boxes: list[Rectangle], time_ns: int) -> list[Thing]:
        """The objects in the next frame."""
        boxes = [box for box in boxes if box[2] * box[3] >= self._least_size]
        pairs = sorted(
            (math.dist(_middle(track.box), _middle(box)), t, b)
            for t, track in enumerate(self._tracks)
            for b, box in enumerate(boxes)
        )
        taken: dict[int, int] = {}
        for distance, t, b in pairs:
            if distance <= self._REACH and t not in taken and b not in taken.values():
                taken[t] = b
        for t, track in enumerate(self._tracks):
            if t in taken:
                track.box, track.seen, track.missed = boxes[taken[t]], track.seen + 1, 0
            else:
                track.missed += 1
        for b in set(range(len(boxes))) - set(taken.values()):
            self._count += 1
            self._tracks.append(_Track(self._count, boxes[b]))
        self._tracks = [track for track in self._tracks if track.missed <= self._FORGIVES]
        return [_thing(track, time_ns) for track in self._tracks if track.seen >= 3 and not track.missed]


def _middle(box: Rectangle) -> tuple[float, float]:
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def _thing(track: _Track, time_ns: int) -> Thing:
    track.way.append((time_ns, *_middle(track.box)))
    (began_ns, x, y), (ended_ns, end_x, end_y) = track.way[0], track.way[-1]
    seconds = max((ended_ns - began_ns) / 1e9, 1e-3)
    across, down = (end_x - x) / seconds, (end_y - y) * 0.75 / seconds
    return Thing(
        id=track.number,
        box=track.box,
        outline=[],
        speed=math.hypot(across, down),
        direction_deg=within_turn(math.degrees(math.atan2(-down, across))),
        age_ms=0.0,
        score=1.0,
        was=[track.box],
    )
