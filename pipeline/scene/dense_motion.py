"""Dense motion of one frame, and each place's own motion relative to the camera.

Lengths are in image widths on both axes: x from 0 to 1, y from 0 to height / width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.base.moving_thing import within_turn

Array = npt.NDArray[np.float32]
Places = npt.NDArray[np.intp]
"""``(n, 2)``: row and column of each place."""
Vector: TypeAlias = tuple[float, float]
"""X and y."""

PLACE_PX = 4
"""Side of a place in pixels of the model's input."""
_LEAST_ERROR_PX = 0.1
"""Lower bound on the expected error of the flow."""


@dataclass(frozen=True, slots=True)
class DenseMotion:
    """The network's output for one frame; T past frames, oldest first, ``h x w`` places.

    Attributes:
        moving: ``(h, w)``, probability that a place moves independently of the camera.
        flow: ``(T, 2, h, w)``, from each place to where it was (x right, y down), in pixels of the
            model's input.
        uncertainty: ``(T, h, w)``, expected error of the flow in the same pixels.
        camera: ``(T, 2, 3)``, affine map of the static background from new to past coordinates (-1 to 1).
        valid: ``(T,)``, whether the past frame exists.
        history_ms: Age of each past frame; arbitrary where there is none.
        aspect: Height of the original image / its width.
        slots: Indices of the past frames that exist.
    """

    moving: Array
    flow: Array
    uncertainty: Array
    camera: Array
    valid: npt.NDArray[np.bool_]
    history_ms: Sequence[float]
    aspect: float
    slots: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Checks the shapes and finds the past frames that exist.

        Raises:
            ValueError: The shapes do not match, or the aspect ratio is not a positive number.
        """
        past, (rows, columns) = len(self.valid), self.moving.shape
        wanted = {
            "flow": (past, 2, rows, columns),
            "uncertainty": (past, rows, columns),
            "camera": (past, 2, 3),
            "history_ms": (past,),
        }
        for name, shape in wanted.items():
            if np.shape(getattr(self, name)) != shape:
                raise ValueError(f"{name} has the shape {np.shape(getattr(self, name))}, not {shape}")
        if not 0 < self.aspect < np.inf:
            raise ValueError(f"aspect is {self.aspect}, not a positive number")
        past_frames = zip(self.valid, self.history_ms, strict=True)
        slots = tuple(slot for slot, (valid, age_ms) in enumerate(past_frames) if valid and age_ms > 0)
        object.__setattr__(self, "slots", slots)

    def own_velocity(self, places: Places) -> Array:
        """Velocity of places relative to the camera, ``(n, 2)``, in widths per second.

        The mean over the past frames, weighted by their uncertainty and age. Finite where the flow is finite.
        """
        rows, columns = self.moving.shape
        row, column = places.T
        x = (column.astype(np.float32) + 0.5) * (2 / columns) - 1
        y = (row.astype(np.float32) + 0.5) * (2 / rows) - 1
        total = np.zeros((2, len(places)), np.float32)
        weights = np.zeros(len(places), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for slot in self.slots:
                seconds = self.history_ms[slot] / 1000
                (a, b, c), (d, e, f) = self.camera[slot].tolist()
                flow_x, flow_y = self.flow[slot][:, row, column]
                error = np.maximum(self.uncertainty[slot][row, column], _LEAST_ERROR_PX)
                still_x, still_y = (
                    ((a - 1) * x + b * y + c) / 2,
                    (d * x + (e - 1) * y + f) / 2,
                )  # shares of the image
                weight = np.square(seconds / error)
                total[0] += (still_x - flow_x / (columns * PLACE_PX)) * (weight / seconds)
                total[1] += (still_y - flow_y / (rows * PLACE_PX)) * (weight * (self.aspect / seconds))
                weights += weight
            return np.ascontiguousarray((total / weights).T)

    def camera_velocity(self, points: Array) -> Array:
        """Velocity in the image of static points ``(..., 2)``, in widths per second."""
        if not self.slots:
            return np.zeros_like(points)
        slot = self.slots[-1]
        picture = np.array([1, self.aspect], np.float32)
        here = 2 * points / picture - 1
        there = here @ self.camera[slot][:, :2].T + self.camera[slot][:, 2]
        velocity: Array = (here - there) / 2 * picture * np.float32(1000 / self.history_ms[slot])
        return velocity

    def every_place(self) -> Array:
        """Position of each place now and in each past frame, ``(1 + t, 2, h * w)``.

        X and y in image widths, row by row.
        """
        rows, columns = self.moving.shape
        flow = self.flow[self.valid] / PLACE_PX
        found = np.zeros((1 + len(flow), 2, rows, columns), np.float32)
        found[1:] = flow
        found[:, 0] = (found[:, 0] + (np.arange(columns, dtype=np.float32) + 0.5)) / columns
        found[:, 1] += (np.arange(rows, dtype=np.float32) + 0.5)[:, None]
        found[:, 1] *= np.float32(self.aspect / rows)
        return found.reshape(len(found), 2, rows * columns)


def polar(x: float, y: float) -> tuple[float, float]:
    """Length of a vector, y down, and its direction in degrees, anticlockwise: 0 = right, 90 = up."""
    return math.hypot(x, y), within_turn(math.degrees(math.atan2(-y, x)))
