"""Actors of the demo: position, drawing, and ground truth of those that move."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from math import atan2, degrees, hypot, sin

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image
from pipeline.base.moving_thing import Mover, within_turn
from pipeline.video.cutouts import CUTOUTS, Cutout
from pipeline.video.pose import HEIGHT, WIDTH, Pose

_CHANGES_IN_S = 0.4
"""Duration of a change of speed or direction, in seconds."""
_PHASE_PX = 6.0
"""Distance travelled per animation phase of a cutout."""
_SLOWEST = 0.03
"""Lowest speed of a moving actor, in image widths per second."""
_LATELY_S = (0.0, 0.125, 0.25, 0.375, 0.5, 0.6, 0.7)
"""Times before now at which the speed is checked; an actor counts as moving if it moved at any of them."""
_SETTLED, _SETTLED_S = 5, 0.5
"""A mover must be found only after ``_SETTLED_S``, if it moved at the first ``_SETTLED`` of these times."""
_SHADOW = 160
"""Opacity up to which a cutout is only a shadow."""
_LEAST_VISIBLE = 0.5
"""A mover must be found only if at least this fraction of its box is visible."""


@dataclass(frozen=True, slots=True)
class Path:
    """Path of an actor; lengths in px of the canvas, times in seconds.

    Attributes:
        start: Position of its foot at time 0.
        velocity: Velocity to the right and down, per second, until the first change.
        changes: Times of changes, each with the new velocity.
    """

    start: tuple[float, float]
    velocity: tuple[float, float] = (0.0, 0.0)
    changes: tuple[tuple[float, float, float], ...] = ()

    def at(self, seconds: float) -> tuple[float, float]:
        """Position at a time."""
        x, y = self.start
        (right, down), before = self.velocity, self.velocity
        x, y = x + right * seconds, y + down * seconds
        for time, right, down in self.changes:
            since = max(0.0, seconds - time)
            part = min(since, _CHANGES_IN_S)
            way = part * part / (2 * _CHANGES_IN_S) + since - part
            x, y = x + (right - before[0]) * way, y + (down - before[1]) * way
            before = right, down
        return x, y

    def velocity_at(self, seconds: float) -> tuple[float, float]:
        """Velocity at a time."""
        x, y = before = self.velocity
        for time, right, down in self.changes:
            part = min(max(0.0, seconds - time) / _CHANGES_IN_S, 1.0)
            x, y = x + (right - before[0]) * part, y + (down - before[1]) * part
            before = right, down
        return x, y


@dataclass(frozen=True, slots=True)
class Actor:
    """An object in front of a scene of the tour.

    Attributes:
        look: Name of its cutout in ``CUTOUTS``.
        path: Its path.
        is_mover: Whether it moves independently; False for shadows and objects that stay or sway in place.
        sway_px: Amplitude of swaying.
    """

    look: str
    path: Path
    is_mover: bool = True
    sway_px: float = 0.0

    def to_canvas(self, seconds: float) -> tuple[float, float]:
        """Position of the upper left corner of its cutout."""
        x, y = self.path.at(seconds)
        if self.sway_px:
            x += self.sway_px * sin(5.1 * seconds + self.path.start[0])
            y += 0.5 * self.sway_px * sin(6.7 * seconds + self.path.start[1])
        height, width = cutouts(self.look)[0].shape[:2]
        return x - width / 2, y - height

    def phase(self, seconds: float) -> int:
        """Index of its current cutout, by the distance travelled."""
        x, y = self.path.at(seconds)
        way = hypot(x - self.path.start[0], y - self.path.start[1])
        return int(way / _PHASE_PX) % len(cutouts(self.look))

    def speed_at(self, seconds: float, pose: Pose) -> float:
        """Speed in image widths per second."""
        return hypot(*self.path.velocity_at(seconds)) * pose.scale / WIDTH


@cache
def cutouts(look: str) -> list[Cutout]:
    """The phases of a cutout, drawn once."""
    return CUTOUTS[look]()


def draw_actors(image: Image, actors: Iterable[Actor], seconds: float, pose: Pose) -> None:
    """Draws actors into an image.

    Args:
        image: The view without them; modified in place.
        actors: From back to front.
        seconds: Time since the start of this scene.
        pose: Pose of the camera.
    """
    for actor in actors:
        cutout = cutouts(actor.look)[actor.phase(seconds)]
        matrix = _to_view(actor, seconds, pose)
        height, width = cutout.shape[:2]
        left, top, right, bottom = _bounds(matrix, (0, 0, width, height))
        left, top = max(int(left) - 1, 0), max(int(top) - 1, 0)
        right, bottom = min(int(right) + 2, WIDTH), min(int(bottom) + 2, HEIGHT)
        if right <= left or bottom <= top:
            continue
        matrix[:, 2] -= left, top
        placed = cv2.warpAffine(cutout, matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
        *tones, opacity = cv2.split(placed)
        through = cv2.bitwise_not(opacity)
        part = image[top:bottom, left:right]
        behind = cv2.multiply(part, cv2.merge([through, through, through]), scale=1 / 255)
        part[:] = cv2.add(behind, cv2.merge(tones))


def find_movers(actors: Iterable[Actor], seconds: float, pose: Pose) -> list[Mover]:
    """Ground truth of the moving actors.

    Args:
        actors: All actors.
        seconds: Time since the start of this scene.
        pose: Pose of the camera.
    """
    found = []
    for actor in actors:
        if not actor.is_mover:
            continue
        speeds = [actor.speed_at(seconds - ago, pose) for ago in _LATELY_S]
        if max(speeds) < _SLOWEST:
            continue
        whole = _bounds(_to_view(actor, seconds, pose), _opaque(actor.look, actor.phase(seconds)))
        left, top, right, bottom = (
            min(max(edge, 0.0), most)
            for edge, most in zip(whole, (WIDTH, HEIGHT, WIDTH, HEIGHT), strict=True)
        )
        if right <= left or bottom <= top:
            continue
        visible = (right - left) * (bottom - top) / ((whole[2] - whole[0]) * (whole[3] - whole[1]))
        settled = seconds >= _SETTLED_S and min(speeds[:_SETTLED]) >= _SLOWEST
        right_px, down_px = actor.path.velocity_at(seconds)
        found.append(
            Mover(
                box=(left / WIDTH, top / HEIGHT, (right - left) / WIDTH, (bottom - top) / HEIGHT),
                speed=speeds[0],
                direction_deg=within_turn(degrees(atan2(-down_px, right_px) + pose.angle)),
                is_sure=settled and visible >= _LEAST_VISIBLE,
            )
        )
    return found


def _to_view(actor: Actor, seconds: float, pose: Pose) -> npt.NDArray[np.float64]:
    """Matrix ``(2, 3)`` from pixels of the cutout to pixels of the view."""
    matrix = pose.canvas_to_view()
    matrix[:, 2] += matrix[:, :2] @ actor.to_canvas(seconds)
    return matrix


def _bounds(matrix: npt.NDArray[np.float64], box: tuple[int, int, int, int]) -> tuple[float, ...]:
    """Left, top, right and bottom of a transformed box."""
    (a, b, x), (c, d, y) = matrix.tolist()
    left, top, right, bottom = box
    across = [a * u + b * v + x for u in (left, right) for v in (top, bottom)]
    down = [c * u + d * v + y for u in (left, right) for v in (top, bottom)]
    return min(across), min(down), max(across), max(down)


@cache
def _opaque(look: str, phase: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the cutout without its shadow."""
    mask = (cutouts(look)[phase][..., 3] > _SHADOW).astype(np.uint8)
    left, top, width, height = cv2.boundingRect(mask)
    return left, top, left + width, top + height
