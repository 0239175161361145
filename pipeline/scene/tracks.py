"""One thing over time: where it should be now, what was seen of it, what holds while it is out of sight."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipeline.base.moving_thing import MOST_TRAIL_POINTS, Point, Thing
from pipeline.scene.dense_motion import Array, DenseMotion, polar
from pipeline.scene.regions import Region, area

SHOWN_AFTER_FRAMES = 3
SHOWN_AFTER_MS = 100.0
"""A thing is shown once it was seen in so many frames in a row, over so long a time."""
SHOWN_UNSEEN_MS = 400.0
"""Out of sight, it is shown so long; later it has to be seen again as often as a new one,"""
REMEMBERED_MS = 2000.0
"""and can come back under its id so long."""
_STOPS_IN_MS = 300.0
"""Time constant with which a thing that is out of sight comes to rest."""
_WHOLE = 0.6
"""Share of its places with which a thing is taken to be seen whole."""
_GROWN = 2.0
"""Times its places, or its box, with which a thing that has met another one is taken to be seen together with
it."""
_SHRINKS_IN_MS = 500.0
"""Time constant with which it is believed to have become smaller, or larger."""
_SMOOTHED_OVER_MS = 200.0
"""Time constant of speed and score."""
_SETTLES_IN_MS = 200.0
"""Time constant with which its anchor goes to the middle of its box, which jumps where things meet."""
_TRAIL_EVERY_MS = 200.0
"""Between two points of a trail."""
_INNER = 0.05
"""Share of a region's places left out at each edge to find where it was: flow is often mixed there."""


@dataclass(slots=True)
class Track:
    """A thing that is followed; lengths in picture widths, as in ``DenseMotion``.

    Attributes:
        region: What was last seen of it.
        first_ns: When it was first seen.
        seen_ns: When it was last seen.
        id: From 1; 0 until it is shown.
        frames: In how many it was seen since it came, or came back.
        came_ns: When that was.
        box: Left, top, right, bottom; moves on while it is out of sight or covered in part.
        velocity: Against the camera, in widths a second.
        score: How surely it moves.
        places: How many it has when nothing covers it.
        outline_moved: How far it has moved on since ``region`` was seen.
        anchor: X and y: goes with its velocity, and slowly to the middle of its box.
        trail: ``(n, 2)``, where its anchor was, oldest first; goes with what stands still there.
        trail_ns: When the last of them was seen.
    """

    region: Region
    first_ns: int
    seen_ns: int
    id: int = 0
    frames: int = 1
    came_ns: int = field(init=False)
    box: Array = field(init=False)
    velocity: Array = field(init=False)
    score: float = field(init=False)
    places: float = field(init=False)
    outline_moved: Array = field(init=False)
    anchor: Array = field(init=False)
    trail: Array = field(init=False)
    trail_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self.box, self.velocity, self.score = self.region.box, self.region.velocity, self.region.score
        self.places, self.outline_moved = float(len(self.region.places)), np.zeros(2, np.float32)
        self.anchor = np.array(self.middle, np.float32)
        self.trail, self.trail_ns = self.anchor[None], self.seen_ns
        self.came_ns = self.first_ns

    @property
    def middle(self) -> tuple[float, float]:
        """X and y of its box's middle."""
        left, top, right, bottom = self.box.tolist()
        return (left + right) / 2, (top + bottom) / 2

    def unseen_ms(self, now_ns: int) -> float:
        """For how long it has been out of sight."""
        return (now_ns - self.seen_ns) / 1e6

    def predict(self, motion: DenseMotion, elapsed_ms: float) -> None:
        """Moves on to where it should be now: with its own motion and the camera's."""
        points = np.concatenate([self.trail, np.array([self.middle], np.float32)])
        camera = motion.camera_velocity(points)
        camera_x, camera_y = camera[-1].tolist()
        self.trail = self.trail + camera[:-1] * np.float32(elapsed_ms / 1000)
        own_x, own_y = self.velocity.tolist()
        x, y = (camera_x + own_x) * elapsed_ms / 1000, (camera_y + own_y) * elapsed_ms / 1000
        way = np.array([x, y, x, y], np.float32)
        self.box = self.box + way
        self.outline_moved = self.outline_moved + way[:2]
        self.anchor = self.anchor + way[:2]

    def is_outgrown_by(self, region: Region) -> bool:
        """Whether a region is far larger than the thing was."""
        return len(region.places) > _GROWN * self.places or area(region.box) > _GROWN * area(self.box)

    def see(self, region: Region, now_ns: int, elapsed_ms: float, *, is_of_both: bool = False) -> None:
        """It was found again; if much of it is missing, it is taken to be covered, not to be small.

        Args:
            region: What was found.
            now_ns: When.
            elapsed_ms: Since the frame before.
            is_of_both: The region is that of this thing and of another one: its box is not the thing's.
        """
        weight = 1 - math.exp(-elapsed_ms / _SMOOTHED_OVER_MS)
        places = len(region.places)
        if not is_of_both:
            self.box = region.box if places >= _WHOLE * self.places else _holding(self.box, region.box)
            self.places += (1 - math.exp(-elapsed_ms / _SHRINKS_IN_MS)) * (places - self.places)
        settled = np.float32(1 - math.exp(-elapsed_ms / _SETTLES_IN_MS))
        self.anchor = self.anchor + settled * (np.array(self.middle, np.float32) - self.anchor)
        self.velocity = self.velocity + np.float32(weight) * (region.velocity - self.velocity)
        self.score += weight * (region.score - self.score)
        self.region, self.outline_moved = region, np.zeros(2, np.float32)
        if self.unseen_ms(now_ns) > SHOWN_UNSEEN_MS or not self.frames:
            self.frames, self.came_ns = 0, now_ns
        self.seen_ns = now_ns
        self.frames += 1
        if (now_ns - self.trail_ns) / 1e6 >= _TRAIL_EVERY_MS:
            self.trail = np.concatenate([self.trail[1 - MOST_TRAIL_POINTS :], self.anchor[None]])
            self.trail_ns = now_ns

    def miss(self, regions: Sequence[Region], elapsed_ms: float) -> None:
        """It was not found: behind something else that moves it goes on, anywhere else it comes to rest."""
        left = math.exp(-elapsed_ms / _STOPS_IN_MS)
        self.score *= left
        if self.frames < SHOWN_AFTER_FRAMES:
            self.frames = 0
        x, y = self.middle
        if not any(
            box[0] <= x <= box[2] and box[1] <= y <= box[3] for box in (r.box.tolist() for r in regions)
        ):
            self.velocity = self.velocity * np.float32(left)

    def is_worth_keeping(self, now_ns: int, aspect: float) -> bool:
        """Seen now, or shown lately; and not wholly out of the picture."""
        left, top, right, bottom = self.box.tolist()
        inside = right > 0 and bottom > 0 and left < 1 and top < aspect
        return inside and self.unseen_ms(now_ns) <= (REMEMBERED_MS if self.id else 0)

    def is_sure(self, now_ns: int) -> bool:
        """Whether it has been seen for long enough, and lately enough, to be shown."""
        long_enough = (now_ns - self.came_ns) / 1e6 >= SHOWN_AFTER_MS
        return self.frames >= SHOWN_AFTER_FRAMES and long_enough and self.unseen_ms(now_ns) <= SHOWN_UNSEEN_MS

    def thing(self, motion: DenseMotion, now_ns: int) -> Thing:
        """What is shown of it, in the frame of a dense motion."""
        scale = np.array([1, 1 / motion.aspect])
        was = self._past_boxes(motion) if self.seen_ns == now_ns else []
        outline = self.region.outline() + self.outline_moved
        corners = _shares(np.concatenate([self.box, *was]).reshape(-1, 2) * scale)
        box, *was_boxes = [
            (left, top, right - left, bottom - top)
            for (left, top), (right, bottom) in zip(corners[::2], corners[1::2], strict=True)
        ]
        speed, direction_deg = polar(*self.velocity.tolist())
        return Thing(
            id=self.id,
            box=box,
            outline=_shares(outline * scale),
            speed=speed,
            direction_deg=direction_deg,
            age_ms=(now_ns - self.first_ns) / 1e6,
            score=min(self.score, 1.0),
            trail=_shares(self.trail * scale),
            was=was_boxes,
        )

    def _past_boxes(self, motion: DenseMotion) -> list[Array]:
        """Its box in each past frame: each edge goes the way of what is seen near it."""
        places = self.region.places
        first = int(_INNER * len(places))
        inner = [first, len(places) - 1 - first]
        now = np.sort(self.region.middles(), axis=0)[inner]
        past = np.sort(motion.past_places(places), axis=1)[:, inner]
        return [self.box + went for went in (past - now).reshape(-1, 4)]


def _holding(box: Array, part: Array) -> Array:
    """A box as large as before, moved no further than it takes to hold what is seen of its thing."""
    ahead = np.maximum(part[2:] - box[2:], 0)
    box = box + np.tile(ahead + np.minimum(part[:2] - box[:2] - ahead, 0), 2)
    holding: Array = np.concatenate([box[:2], np.maximum(box[2:], part[2:])])
    return holding


def _shares(points: npt.NDArray[np.floating]) -> list[Point]:
    """Points as shares of the picture, moved into it; what is not a number lies in its corner."""
    inside = np.minimum(np.maximum(points, 0), 1).tolist()
    return [(x if x == x else 0.0, y if y == y else 0.0) for x, y in inside]
