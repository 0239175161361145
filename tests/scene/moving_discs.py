"""Exact dense motion of discs on known paths under a known camera, as a perfect network would give it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.base.moving_thing import Thing
from pipeline.scene.dense_motion import PLACE_PX, DenseMotion
from pipeline.scene.things import ThingTracker

Path = Callable[[float], tuple[float, float]]
"""Seconds to a point of the scene, in picture widths from where the picture's upper left corner is at 0 s."""

ASPECT = 0.75
GRID = (72, 96)
AGES_S = (0.2, 0.1)
STILL_PX = 0.3
"""Discs that moved less over the history do not show as moving."""


@dataclass(frozen=True)
class Disc:
    path: Path
    radius: float = 0.06


def straight(x: float, y: float, speed_x: float, speed_y: float = 0.0) -> Path:
    return lambda t: (x + speed_x * t, y + speed_y * t)


STILL_CAMERA = straight(0.0, 0.0, 0.0)


def dense_motion(
    discs: Sequence[Disc], t: float, camera: Path = STILL_CAMERA, past: int = 2, grid: tuple[int, int] = GRID
) -> DenseMotion:
    """At time t; `camera` is the path of the picture's corner. Later discs cover earlier ones."""
    rows, columns = grid
    to_px = np.array([columns, rows / ASPECT]) * PLACE_PX  # of picture widths
    x = (np.arange(columns) + 0.5) / columns
    y = (np.arange(rows) + 0.5)[:, None] / rows * ASPECT
    corner = np.array(camera(t))
    shifts = [corner - camera(t - age) for age in AGES_S]
    flow = np.stack([np.broadcast_to((shift * to_px)[:, None, None], (2, rows, columns)) for shift in shifts])
    flow = flow.astype(np.float32)
    moving = np.zeros(grid, np.float32)
    for disc in discs:
        middle = np.array(disc.path(t))
        inside = np.hypot(x + corner[0] - middle[0], y + corner[1] - middle[1]) < disc.radius
        ways = [(disc.path(t - age) - middle) * to_px for age in AGES_S]
        for slot, way in enumerate(ways):
            flow[slot][:, inside] = (way + shifts[slot] * to_px)[:, None]
        moving[inside] = 0.95 if max(np.hypot(*way) for way in ways) > STILL_PX else 0.05
    return DenseMotion(
        moving=moving if past else np.zeros_like(moving),
        flow=flow,
        uncertainty=np.full((len(AGES_S), rows, columns), 0.2, np.float32),
        camera=np.array([[[1, 0, 2 * x], [0, 1, 2 * y / ASPECT]] for x, y in shifts], np.float32),
        valid=np.arange(len(AGES_S)) >= len(AGES_S) - past,
        history_ms=[1000 * age for age in AGES_S],
        aspect=ASPECT,
    )


def followed(
    discs: Sequence[Disc], seconds: float, camera: Path = STILL_CAMERA, fps: float = 20.0
) -> dict[float, list[Thing]]:
    """The things of each frame, by time."""
    tracker = ThingTracker()
    times = [number / fps for number in range(1, round(seconds * fps) + 1)]
    return {t: tracker.update(dense_motion(discs, t, camera), round(t * 1e9)) for t in times}
