"""Regions of one frame that move: connected, and each with one motion of its own.

Fragments that nearly touch are joined first. What moves in two ways is then divided: two people who cross are
two regions, and fragments stay together only if they move alike.
"""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.moving_thing import MOST_OUTLINE_POINTS, MOST_THINGS
from pipeline.scene.dense_motion import Array, DenseMotion, Places

SMALLEST = 6
"""Places of a region."""
_SURE = 0.6
"""A region has a place that moves at least so probably,"""
_LIKELY = 0.4
"""and takes in its neighbours that move at least so probably."""
_FASTEST = 100.0
"""Widths a second; what is faster, or not finite, is no measurement."""
_JOINED = 1 / 48
"""Gaps up to this share of the picture's width are closed."""
_APART = 4.5
"""Two motions are two if they differ by so many times their spread (halves of one even spread: 3.5),"""
_APART_SPEED = 0.02
"""by so many widths a second,"""
_APART_SHARE = 0.5
"""and by this share of the faster one."""
_CONNECTED = 0.7
"""Share of a part's places that hang together; scattered ones are noise."""
SAME = 0.6
"""Two boxes are those of one thing if they overlap so much: intersection over union."""
_HELD = 0.6
"""A part whose box lies so much within that of the other, which goes the same way, is no thing of its own:
where a thing is smooth, it is measured to be slower than where it is not."""
_SAME_WAY = 0.7
"""Cosine of the angle between two motions of one way."""
_HALVED = 2
"""How often in a row a region can be divided."""


@dataclass(frozen=True, slots=True)
class Region:
    """Part of a picture that moves as one; lengths in picture widths, as in ``DenseMotion``.

    Attributes:
        places: ``(n, 2)``, row and column of each.
        velocities: ``(n, 2)``, of each place against the camera, in widths a second.
        moving: ``(n,)``, probability that each moves.
        place: Width and height of a place.
        corner: First row and column.
        size: How many of them it covers.
        box: Left, top, right, bottom.
        velocity: Median of the places' velocities: their edges are often mixed with what is behind.
    """

    places: Places
    velocities: Array
    moving: Array
    place: Array
    corner: npt.NDArray[np.intp] = field(init=False)
    size: tuple[int, int] = field(init=False)
    box: Array = field(init=False)
    velocity: Array = field(init=False)

    def __post_init__(self) -> None:
        row, column = self.places.T
        top, left, bottom, right = (
            int(row.min()),
            int(column.min()),
            int(row.max()) + 1,
            int(column.max()) + 1,
        )
        wide, high = self.place.tolist()
        box = np.array([left * wide, top * high, right * wide, bottom * high], np.float32)
        object.__setattr__(self, "corner", np.array([top, left]))
        object.__setattr__(self, "size", (bottom - top, right - left))
        object.__setattr__(self, "box", box)
        object.__setattr__(self, "velocity", np.sort(self.velocities, axis=0)[len(self.velocities) // 2])

    @property
    def score(self) -> float:
        """Mean probability that its places move."""
        return float(self.moving.mean())

    def middles(self) -> Array:
        """X and y of the middle of each place, ``(n, 2)``."""
        return (self.places[:, ::-1] + np.float32(0.5)) * self.place

    def part(self, chosen: npt.NDArray[np.bool_]) -> "Region":
        """The region of some of its places."""
        return Region(self.places[chosen], self.velocities[chosen], self.moving[chosen], self.place)

    def largest_piece(self) -> "Region":
        """The largest part that hangs together."""
        inside = tuple((self.places - self.corner).T)
        mask = np.zeros(self.size, np.uint8)
        mask[inside] = 1
        _, labels, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        return self.part(labels[inside] == 1 + boxes[1:, cv2.CC_STAT_AREA].argmax())

    def outline(self) -> Array:
        """Corners of a polygon around its largest piece, ``(n, 2)``."""
        fine = 2  # a contour runs through the pixels' centres: with places alone half a place inside the edge
        mask = np.zeros(self.size, np.uint8)
        mask[tuple((self.places - self.corner).T)] = 1
        large = cv2.resize(mask, None, fx=fine, fy=fine, interpolation=cv2.INTER_NEAREST)
        contours, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        contour = max(contours, key=cv2.contourArea)
        tolerance = 0.75 * fine
        while len(corners := cv2.approxPolyDP(contour, tolerance, closed=True)) > MOST_OUTLINE_POINTS:
            tolerance *= 1.5
        if len(corners) < 3:  # a line of places, too thin to be a polygon of its edges
            left, top, width, height = cv2.boundingRect(contour)
            right, bottom = left + width - 1, top + height - 1
            corners = np.array([[[left, top]], [[right, top]], [[right, bottom]], [[left, bottom]]])
        points = ((corners[:, 0] + 0.5) / fine + self.corner[::-1]) * self.place
        return np.asarray(points, np.float32)


def find_regions(motion: DenseMotion) -> list[Region]:
    """Regions of a frame, the largest first, ``MOST_THINGS`` at most."""
    likely = (motion.moving > _LIKELY).astype(np.uint8)
    if not motion.slots or not likely.any():
        return []
    rows, columns = likely.shape
    reach = 2 * max(1, round(columns * _JOINED / 2)) + 1
    joined = cv2.morphologyEx(likely, cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8))
    count, labels = cv2.connectedComponents(joined, connectivity=8)
    places = np.argwhere(likely)
    velocities = motion.own_velocity(places)
    known = (np.abs(velocities) < _FASTEST).all(axis=1)
    places, velocities = places[known], velocities[known]
    row, column = places.T
    label, moving = labels[row, column], motion.moving[row, column]
    sizes = np.bincount(label, minlength=count)
    sure = np.bincount(label[moving > _SURE], minlength=count)
    place = np.array([1 / columns, motion.aspect / rows], np.float32)
    regions: list[Region] = []
    for n in np.argsort(-sizes)[:MOST_THINGS]:
        if sizes[n] >= SMALLEST and sure[n]:
            chosen = label == n
            regions += _divided(Region(places[chosen], velocities[chosen], moving[chosen], place), _HALVED)
    return regions[:MOST_THINGS]


def _divided(region: Region, times: int) -> list[Region]:
    """The region, or its parts if they move in different ways."""
    if times == 0 or len(region.places) < 2 * SMALLEST:
        return [region]
    second = _second_motion(region.velocities)
    if second is None:
        return [region]
    parts = [region.part(chosen).largest_piece() for chosen in (~second, second)]
    wanted = [max(SMALLEST, _CONNECTED * chosen.sum()) for chosen in (~second, second)]
    if any(len(part.places) < least for part, least in zip(parts, wanted, strict=True)):
        return [region]
    if overlap(parts[0].box, parts[1].box) > SAME or _is_held(*parts):
        return [region]  # a rim round a middle
    return [piece for part in parts for piece in _divided(part, times - 1)]


def overlap(box: Array, other: Array) -> float:
    """Intersection over union of two boxes: left, top, right, bottom."""
    common = _common(box, other)
    return common / (area(box) + area(other) - common)


def _is_held(part: Region, other: Region) -> bool:
    """Whether one of two parts lies within the other and goes the same way."""
    smaller = min(area(part.box), area(other.box))
    speeds = np.hypot(*part.velocity) * np.hypot(*other.velocity)
    goes_along = float(part.velocity @ other.velocity) > _SAME_WAY * float(speeds)
    return goes_along and _common(part.box, other.box) > _HELD * smaller


def area(box: Array) -> float:
    """Of a box, as a share of a square as wide as the picture."""
    return float((box[2:] - box[:2]).prod())


def _common(box: Array, other: Array) -> float:
    """Area of what two boxes share."""
    sides = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
    return float(np.maximum(sides, 0).prod())


def _second_motion(velocities: Array) -> npt.NDArray[np.bool_] | None:
    """Which of the velocities ``(n, 2)`` belong to a second motion; None if all are of one."""
    around = velocities - np.float32(1 / len(velocities)) * velocities.sum(axis=0)
    (xx, xy), (_, yy) = (around.T @ around / len(around)).tolist()
    if math.sqrt(xx + yy) < _APART_SPEED / 4:
        return None
    angle = math.atan2(2 * xy, xx - yy) / 2  # of the axis along which they differ most
    guess = around @ np.array([math.cos(angle), math.sin(angle)], np.float32) > 0
    within, second, centres = cv2.kmeans(
        velocities,
        2,
        guess.astype(np.int32),
        (cv2.TERM_CRITERIA_COUNT, 5, 0.0),
        1,
        cv2.KMEANS_USE_INITIAL_LABELS,
    )
    spread = math.sqrt(within / len(velocities))
    fastest = float(np.hypot(*centres.T).max())
    is_apart = math.dist(*centres.tolist()) > max(_APART * spread, _APART_SPEED, _APART_SHARE * fastest)
    return second.ravel() > 0 if is_apart else None
