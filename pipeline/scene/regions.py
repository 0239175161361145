"""Connected regions of one frame that move, each with one motion.

Fragments that nearly touch are joined first. Regions with two motions are then split: two people whose paths
cross become two regions, and fragments stay together only if they move alike.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.moving_thing import MOST_OUTLINE_POINTS, MOST_THINGS
from pipeline.scene.boxes import Box, area, common, overlap
from pipeline.scene.dense_motion import Array, DenseMotion, Places, Vector

SMALLEST = 6
"""Minimum number of places in a region."""
_SURE = 0.6
"""At least one place of a region has a probability of moving above this."""
_LIKELY = 0.4
"""All places of a region have a probability of moving above this."""
_FASTEST = 100.0
"""Widths per second; velocities above this or not finite are discarded."""
_JOINED = 1 / 48
"""Gaps up to this share of the image's width are closed."""
_APART = 4.5
"""Minimum difference of two motions, as a multiple of their spread (3.5 for halves of an even spread)."""
_APART_SPEED = 0.02
"""Minimum difference of two motions, in widths per second."""
_APART_SHARE = 0.5
"""Minimum difference of two motions, as a share of the faster one."""
_EVEN = _APART_SPEED / 4
"""Velocities with a smaller spread, in widths per second, belong to one motion."""
_CONNECTED = 0.7
"""Share of a part's places that must be connected; scattered ones are noise."""
SAME = 0.6
"""Boxes with this intersection over union or more belong to one thing."""
_HELD = 0.6
"""A part whose box overlaps the other's by this share and which moves in the same direction is not split off:
the measured speed is too low where an object has little texture."""
_SAME_WAY = 0.7
"""Cosine of the largest angle between two motions in the same direction."""
_HALVED = 2
"""How many times in succession a region can be split."""


@dataclass(frozen=True)
class Region:
    """Part of an image with one motion; lengths in image widths, as in ``DenseMotion``.

    Attributes:
        places: ``(n, 2)``, row and column of each, row by row.
        velocities: ``(n, 2)``, of each place relative to the camera, in widths per second.
        moving: ``(n,)``, probability that each place moves.
        place: Width and height of a place.
        corner: First row and column.
        size: Number of rows and columns it spans.
        box: Its bounding box.
    """

    places: Places
    velocities: Array
    moving: Array
    place: Vector
    corner: tuple[int, int] = field(init=False)
    size: tuple[int, int] = field(init=False)
    box: Box = field(init=False)

    def __post_init__(self) -> None:
        row, column = self.places.T
        top, left = int(row[0]), int(column[column.argmin()])  # argmin takes a fifth of the time of min()
        bottom, right = int(row[-1]) + 1, int(column[column.argmax()]) + 1
        wide, high = self.place
        # one update: setting the attributes of a frozen class one by one takes a third of the time per region
        self.__dict__.update(
            corner=(top, left),
            size=(bottom - top, right - left),
            box=(left * wide, top * high, right * wide, bottom * high),
        )

    @cached_property
    def velocity(self) -> Vector:
        """Median of the places' velocities, because those at the edges often mix with the background."""
        x, y = np.sort(self.velocities, axis=0)[len(self.velocities) // 2].tolist()
        return x, y

    @property
    def score(self) -> float:
        """Mean probability that its places move."""
        return float(self.moving.sum()) / len(self.moving)

    def middles(self) -> Array:
        """X and y of the centre of each place, ``(n, 2)``."""
        return (self.places[:, ::-1] + np.float32(0.5)) * np.array(self.place, np.float32)

    def part(self, chosen: npt.NDArray[np.bool_]) -> "Region":
        """The region made of some of its places."""
        return Region(self.places[chosen], self.velocities[chosen], self.moving[chosen], self.place)

    def largest_piece(self) -> "Region":
        """The largest connected part."""
        mask, inside = self._mask()
        count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        if count == 2:
            return self
        return self.part(labels.ravel()[inside] == 1 + boxes[1:, cv2.CC_STAT_AREA].argmax())

    def outline(self) -> list[Vector]:
        """Corners of a polygon around its largest piece."""
        fine = 2  # contours run through pixel centres: at 1 they would be half a place inside the edge
        mask, _ = self._mask()
        large = cv2.resize(mask, None, fx=fine, fy=fine, interpolation=cv2.INTER_NEAREST)
        contours, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        contour = max(contours, key=cv2.contourArea) if len(contours) > 1 else contours[0]
        tolerance = 0.75 * fine
        while len(corners := cv2.approxPolyDP(contour, tolerance, closed=True)) > MOST_OUTLINE_POINTS:
            tolerance *= 1.5
        points = corners[:, 0].tolist()
        if len(points) < 3:  # one place wide: no polygon
            left, top, width, height = cv2.boundingRect(contour)
            right, bottom = left + width - 1, top + height - 1
            points = [[left, top], [right, top], [right, bottom], [left, bottom]]
        (top, left), (wide, high) = self.corner, self.place
        return [(((x + 0.5) / fine + left) * wide, ((y + 0.5) / fine + top) * high) for x, y in points]

    def _mask(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.intp]]:
        """Mask of its places within its box, and the flat index of each."""
        mask = np.zeros(self.size, np.uint8)
        row, column = self.places.T
        inside = (row - self.corner[0]) * self.size[1] + (column - self.corner[1])
        mask.ravel()[inside] = 1
        return mask, inside


def find_regions(motion: DenseMotion) -> list[Region]:
    """Regions of a frame, largest first, at most ``MOST_THINGS``."""
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
    label = labels[row, column].astype(np.intp)
    order = np.argsort(label, kind="stable")
    label, places, velocities = label[order], places[order], velocities[order]
    moving = motion.moving[places[:, 0], places[:, 1]]
    sizes = np.bincount(label, minlength=count)
    sure = np.bincount(label[moving > _SURE], minlength=count)
    spread = _spread(velocities, label, sizes)
    ends, place = sizes.cumsum(), (1 / columns, motion.aspect / rows)
    regions: list[Region] = []
    for n in np.argsort(-sizes)[:MOST_THINGS].tolist():
        if sizes[n] >= SMALLEST and sure[n]:
            chosen = slice(ends[n] - sizes[n], ends[n])
            region = Region(places[chosen], velocities[chosen], moving[chosen], place)
            regions += [region] if spread[n] < _EVEN else _divided(region, _HALVED)
    return regions[:MOST_THINGS]


def _spread(velocities: Array, label: npt.NDArray[np.intp], sizes: npt.NDArray[np.intp]) -> Array:
    """Root mean square deviation of velocities ``(n, 2)`` from the mean of their label."""
    many = np.maximum(sizes, 1)
    x, y = velocities.T.astype(np.float64)
    mean_x, mean_y = (np.bincount(label, one, len(sizes)) / many for one in (x, y))
    squares = np.square(x - mean_x[label]) + np.square(y - mean_y[label])
    spread: Array = np.sqrt(np.bincount(label, squares, len(sizes)) / many)
    return spread


def _divided(region: Region, times: int) -> list[Region]:
    """The region, or its parts if their motions differ."""
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
        return [region]  # one part is a rim around the other
    return [piece for part in parts for piece in _divided(part, times - 1)]


def _is_held(part: Region, other: Region) -> bool:
    """Whether one of two parts lies within the other and moves in the same direction."""
    smaller = min(area(part.box), area(other.box))
    (x, y), (other_x, other_y) = part.velocity, other.velocity
    goes_along = x * other_x + y * other_y > _SAME_WAY * math.hypot(x, y) * math.hypot(other_x, other_y)
    return goes_along and common(part.box, other.box) > _HELD * smaller


def _second_motion(velocities: Array) -> npt.NDArray[np.bool_] | None:
    """Mask of the velocities ``(n, 2)`` that belong to a second motion; None if there is only one."""
    around = velocities - np.float32(1 / len(velocities)) * velocities.sum(axis=0)
    (xx, xy), (_, yy) = (around.T @ around / len(around)).tolist()
    if math.sqrt(xx + yy) < _EVEN:
        return None
    angle = math.atan2(2 * xy, xx - yy) / 2  # direction of the axis of largest variance
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
