"""One tracked object: predicted position, history, and state while it is hidden."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.base.moving_thing import MOST_TRAIL_POINTS, Rectangle, Thing
from pipeline.scene.boxes import Box, area, middle, moved
from pipeline.scene.dense_motion import Array, Vector, polar
from pipeline.scene.regions import Region

SHOWN_AFTER_FRAMES = 3
SHOWN_AFTER_MS = 100.0
"""A thing is shown after this many frames in a row and at least this long."""
SHOWN_UNSEEN_MS = 400.0
"""A thing out of sight is still shown for this long; after that, it must qualify again like a new one."""
REMEMBERED_MS = 2000.0
"""A thing out of sight can keep its id for this long."""
_STOPS_IN_MS = 300.0
"""Time constant with which the assumed motion of a thing out of sight decays."""
_WHOLE = 0.6
"""Share of its places above which a thing counts as fully visible."""
_GROWN = 2.0
"""Growth in places or box area above which a thing that has met another one counts as merged with it."""
_SHRINKS_IN_MS = 500.0
"""Time constant with which its size estimate changes."""
_SMOOTHED_OVER_MS = 200.0
"""Time constant of speed and score."""
_SETTLES_IN_MS = 200.0
"""Time constant with which its anchor moves to the centre of its box, which jumps where things meet."""
_DRIFT_SHOWS_IN_MS = 1000.0
"""Time constant of the estimate of how much faster a box moves than the flow inside it."""
_FASTEST_DRIFT = 1.0
"""Widths per second; larger differences are jumps of the box."""
_DOUBTED = 0.03
"""Widths per second of drift that may be jitter of the box."""
_TRAIL_EVERY_MS = 200.0
"""Interval between two points of a trail."""
_INNER = 0.05
"""Share of a region's places ignored at each edge to find its past boxes: flow is often mixed there."""


@dataclass(slots=True)
class Track:
    """A tracked thing; lengths in image widths, as in ``DenseMotion``.

    Attributes:
        region: The region in which it was last seen.
        first_ns: When it was first seen.
        seen_ns: When it was last seen.
        id: From 1; 0 until it is shown.
        frames: Number of frames in which it was seen since it appeared or reappeared.
        came_ns: When it appeared or reappeared.
        box: Its box; moves on while it is out of sight or partly covered.
        flow: Velocity of its places relative to the camera, in widths per second.
        drift: Velocity of its box beyond ``flow``: on objects without texture, flow is measured only at the
            edges and is much too slow.
        score: Smoothed probability that it moves.
        places: Number of its places when fully visible.
        outline_moved: How far it has moved since ``region`` was seen.
        anchor: X and y; moves with its velocity, and slowly towards the centre of its box.
        trail: ``(n, 2)``, past anchors, oldest first; moves with the static background.
        trail_ns: Time of the last point.
    """

    region: Region
    first_ns: int
    seen_ns: int
    id: int = 0
    frames: int = 1
    came_ns: int = field(init=False)
    box: Box = field(init=False)
    flow: Vector = field(init=False)
    drift: Vector = (0.0, 0.0)
    score: float = field(init=False)
    places: float = field(init=False)
    outline_moved: Vector = (0.0, 0.0)
    anchor: Vector = field(init=False)
    trail: Array = field(init=False)
    trail_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self.box, self.flow, self.score = self.region.box, self.region.velocity, self.region.score
        self.places, self.anchor = float(len(self.region.places)), self.middle
        self.trail, self.trail_ns = np.array([self.anchor], np.float32), self.seen_ns
        self.came_ns = self.first_ns

    @property
    def middle(self) -> Vector:
        """Centre of its box."""
        return middle(self.box)

    @property
    def velocity(self) -> Vector:
        """Velocity relative to the camera, in widths per second."""
        size = math.hypot(*self.drift)
        believed = 1 - _DOUBTED / size if size > _DOUBTED else 0.0
        return self.flow[0] + believed * self.drift[0], self.flow[1] + believed * self.drift[1]

    def unseen_ms(self, now_ns: int) -> float:
        """Time for which it has been out of sight."""
        return (now_ns - self.seen_ns) / 1e6

    def predict(self, trail_went: Array, went: Vector, elapsed_ms: float) -> None:
        """Moves to the predicted position, with the camera's motion and its own.

        Args:
            trail_went: Displacement of the static background at each point of its trail.
            went: The same at its centre.
            elapsed_ms: Time since the frame before.
        """
        self.trail = self.trail + trail_went
        own_x, own_y = self.flow
        x, y = went[0] + own_x * elapsed_ms / 1000, went[1] + own_y * elapsed_ms / 1000
        self.box = moved(self.box, x, y)
        self.outline_moved = (self.outline_moved[0] + x, self.outline_moved[1] + y)
        self.anchor = (self.anchor[0] + x, self.anchor[1] + y)

    def is_outgrown_by(self, region: Region) -> bool:
        """Whether a region is far larger than the thing was."""
        return len(region.places) > _GROWN * self.places or area(region.box) > _GROWN * area(self.box)

    def see(self, region: Region, now_ns: int, elapsed_ms: float, *, is_of_both: bool = False) -> None:
        """Updates the thing with a region; if much of it is missing, it counts as covered, not as smaller.

        Args:
            region: The matched region.
            now_ns: Time of the frame.
            elapsed_ms: Time since the frame before.
            is_of_both: Whether the region also covers another thing, so that its box is not this thing's.
        """
        weight = 1 - math.exp(-elapsed_ms / _SMOOTHED_OVER_MS)
        places = len(region.places)
        if not is_of_both:
            if places >= _WHOLE * self.places:
                self._note_drift(middle(region.box), self.unseen_ms(now_ns))
                self.box = region.box
            else:
                self.box = _holding(self.box, region.box)
            self.places += (1 - math.exp(-elapsed_ms / _SHRINKS_IN_MS)) * (places - self.places)
        self.anchor = _nearer(self.anchor, self.middle, 1 - math.exp(-elapsed_ms / _SETTLES_IN_MS))
        self.flow = _nearer(self.flow, region.velocity, weight)
        self.score += weight * (region.score - self.score)
        self.region, self.outline_moved = region, (0.0, 0.0)
        if self.unseen_ms(now_ns) > SHOWN_UNSEEN_MS or not self.frames:
            self.frames, self.came_ns = 0, now_ns
        self.seen_ns = now_ns
        self.frames += 1
        if (now_ns - self.trail_ns) / 1e6 >= _TRAIL_EVERY_MS:
            last = np.array([self.anchor], np.float32)
            self.trail = np.concatenate([self.trail[1 - MOST_TRAIL_POINTS :], last])
            self.trail_ns = now_ns

    def miss(self, regions: Sequence[Region], elapsed_ms: float) -> None:
        """Updates a thing that was not found: behind another moving thing it moves on, elsewhere it slows."""
        left = math.exp(-elapsed_ms / _STOPS_IN_MS)
        self.score *= left
        if self.frames < SHOWN_AFTER_FRAMES:
            self.frames = 0
        x, y = self.middle
        boxes = [region.box for region in regions]
        if not any(box[0] <= x <= box[2] and box[1] <= y <= box[3] for box in boxes):
            self.flow = (self.flow[0] * left, self.flow[1] * left)
            self.drift = (self.drift[0] * left, self.drift[1] * left)

    def _note_drift(self, seen: Vector, elapsed_ms: float) -> None:
        """Learns how much faster its box moves than its flow; jumps have little weight."""
        ahead = (seen[0] - self.middle[0]) * 1000 / elapsed_ms, (seen[1] - self.middle[1]) * 1000 / elapsed_ms
        size = math.hypot(*ahead)
        believed = min(1.0, _FASTEST_DRIFT / size) if size else 1.0
        share = 1 - math.exp(-elapsed_ms / _DRIFT_SHOWS_IN_MS)
        self.drift = _nearer(self.drift, (believed * ahead[0], believed * ahead[1]), share)

    def is_worth_keeping(self, now_ns: int, aspect: float) -> bool:
        """Whether it is seen now or was shown recently, and is not entirely outside the image."""
        left, top, right, bottom = self.box
        inside = right > 0 and bottom > 0 and left < 1 and top < aspect
        return inside and self.unseen_ms(now_ns) <= (REMEMBERED_MS if self.id else 0)

    def is_sure(self, now_ns: int) -> bool:
        """Whether it has been seen for long enough, and recently enough, to be shown."""
        long_enough = (now_ns - self.came_ns) / 1e6 >= SHOWN_AFTER_MS
        return self.frames >= SHOWN_AFTER_FRAMES and long_enough and self.unseen_ms(now_ns) <= SHOWN_UNSEEN_MS

    def thing(self, every_place: Array, columns: int, aspect: float, now_ns: int) -> Thing:
        """The thing as it is shown.

        Args:
            every_place: Result of ``DenseMotion.every_place``.
            columns: Number of columns of places.
            aspect: Height of the image / width.
            now_ns: Time of the frame.
        """
        was = self._past_boxes(every_place, columns) if self.seen_ns == now_ns else []
        x_moved, y_moved = self.outline_moved
        speed, direction_deg = polar(*self.velocity)
        return Thing(
            id=self.id,
            box=_rectangle(self.box, aspect),
            outline=[(_share(x + x_moved), _share((y + y_moved) / aspect)) for x, y in self.region.outline()],
            speed=speed,
            direction_deg=direction_deg,
            age_ms=(now_ns - self.first_ns) / 1e6,
            score=min(self.score, 1.0),
            trail=[(_share(x), _share(y / aspect)) for x, y in self.trail.tolist()],
            was=[_rectangle(box, aspect) for box in was],
        )

    def _past_boxes(self, every_place: Array, columns: int) -> list[Box]:
        """Its box in each past frame: each edge follows the flow of the places near it."""
        row, column = self.region.places.T
        found = every_place.take(row * columns + column, axis=2)
        found.sort(axis=2)
        first = int(_INNER * len(row))
        (now, *past) = zip(
            found[:, :, first].tolist(), found[:, :, len(row) - 1 - first].tolist(), strict=True
        )
        left, top, right, bottom = self.box
        return [
            (
                left + low[0] - now[0][0],
                top + low[1] - now[0][1],
                right + high[0] - now[1][0],
                bottom + high[1] - now[1][1],
            )
            for low, high in past
        ]


def _nearer(value: Vector, to: Vector, share: float) -> Vector:
    """Linear interpolation between two vectors."""
    return value[0] + share * (to[0] - value[0]), value[1] + share * (to[1] - value[1])


def _holding(box: Box, part: Box) -> Box:
    """A box of at least the same size, moved only as far as needed to contain the visible part."""
    x_ahead, y_ahead = max(part[2] - box[2], 0.0), max(part[3] - box[3], 0.0)
    x, y = min(part[0] - box[0], x_ahead), min(part[1] - box[1], y_ahead)
    left, top, right, bottom = moved(box, x, y)
    return left, top, max(right, part[2]), max(bottom, part[3])


def _rectangle(box: Box, aspect: float) -> Rectangle:
    """A box as shares of the image, clipped to it."""
    left, top = _share(box[0]), _share(box[1] / aspect)
    return left, top, _share(box[2]) - left, _share(box[3] / aspect) - top


def _share(value: float) -> float:
    """Clips to 0 to 1; NaN becomes 0."""
    return value if 0.0 <= value <= 1.0 else float(value > 1.0)
