"""Motion of the whole image on a coarse grid, for the motion log."""

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

SIDE = 24
EVERY_NS = 250_000_000
"""Interval between two grids of a stream."""
_STEPS = 64
"""Steps per image width per second: int8 holds up to 2 widths per second."""


class MotionGrid(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Motion of the image, camera motion included.

    Attributes:
        wall_ns: Unix time of its frame.
        cells: ``(24, 24, 2)`` of int8: x right and y down, in 1/64 of an image width per second.
    """

    wall_ns: int
    cells: bytes


def motion_grid(flow: npt.NDArray[np.float16], place_px: int, age_ms: float, wall_ns: int) -> MotionGrid:
    """The grid of one frame.

    Args:
        flow: ``(2, h, w)``: from each place to where it was in a past frame, x right and y down, in pixels.
        place_px: Width of a place in the same pixels.
        age_ms: Age of the past frame relative to this one.
        wall_ns: Unix time of the frame.
    """
    widths = flow.shape[2] * place_px
    velocity = np.ascontiguousarray(-flow.astype(np.float32).transpose(1, 2, 0)) * (1000 / (widths * age_ms))
    coarse = cv2.resize(velocity, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    steps = np.clip(np.rint(coarse * _STEPS), -127, 127).astype(np.int8)
    return MotionGrid(wall_ns, steps.tobytes())
