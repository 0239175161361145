"""Smooths the camera motion over frames, so that it is steady enough to show."""

import math

import numpy as np

from pipeline.base.camera_velocity import CameraMotion
from pipeline.base.sight import Similarity
from pipeline.scene.dense_motion import Array, DenseMotion, polar

_SMOOTHED_OVER_MS = 400.0
"""Time constant of the smoothing."""
_WILDEST = 100.0
"""Upper limit of each rate per second; larger or non-finite values are discarded."""


class CameraTracker:
    """Follows the camera of one stream; ``update`` is called with each frame, in order."""

    def __init__(self) -> None:
        self._rates: Array | None = None
        self._way = 0.0  # mean path length per second, including motion back and forth
        self._time_ns = 0

    def update(self, motion: DenseMotion, time_ns: int) -> CameraMotion | None:
        """The camera's motion in the next frame; None without past frames, or if it cannot be measured.

        The state is reset if the time does not increase.

        Args:
            motion: The network's output for the frame.
            time_ns: The frame's capture time.
        """
        elapsed_ms = (time_ns - self._time_ns) / 1e6
        self._time_ns = time_ns
        rates = _rates(motion) if motion.slots else None
        if rates is None:
            self._rates = None
            return None
        if self._rates is None or elapsed_ms <= 0:
            self._rates, self._way = rates, math.hypot(*rates[:2].tolist())
        weight = 1 - math.exp(-max(elapsed_ms, 0.0) / _SMOOTHED_OVER_MS)
        self._rates = self._rates + np.float32(weight) * (rates - self._rates)
        self._way += weight * (math.hypot(*rates[:2].tolist()) - self._way)
        x, y, zoom, roll = self._rates.tolist()
        speed, direction_deg = polar(x, y)
        return CameraMotion(
            speed=speed,
            direction_deg=direction_deg,
            zoom=zoom,
            roll_deg=math.degrees(roll),
            shake=max(self._way - speed, 0.0),
        )


def camera_between(motion: DenseMotion, slot: int) -> Similarity:
    """Maps places of a frame to those of a past one, from the motion of the static background."""
    (a, b, x), (c, d, y) = motion.camera[slot].tolist()
    factor = complex((a + d) / 2, (c * motion.aspect - b / motion.aspect) / 2)
    middle, was = (complex(x + 1, (y + 1) * motion.aspect) / 2 for x, y in ((0.0, 0.0), (x, y)))
    return Similarity(factor, was - factor * middle)


def _rates(motion: DenseMotion) -> Array | None:
    """Pan and tilt in widths per second, zoom and roll per second, ``(4,)``; None if they are invalid."""
    slot = motion.slots[-1]
    seconds = motion.history_ms[slot] / 1000
    (a, b, _), (c, d, _) = motion.camera[slot].tolist()
    turn = math.atan2(c * motion.aspect - b / motion.aspect, a + d)
    scale = math.sqrt(abs(a * d - b * c))
    pan = -motion.camera_velocity(np.array([0.5, motion.aspect / 2], np.float32))
    zoom = -math.log(scale) / seconds if scale > 0 else math.inf
    rates = np.array([*pan.tolist(), zoom, -turn / seconds], np.float32)
    return rates if np.isfinite(rates).all() and np.abs(rates).max() <= _WILDEST else None
