"""Derives from attention weights where the network looked and how the content moved. Pure functions.

Positions are fractions of the image: x to the right, y down, from 0 to 1. The grids cover the whole image, as
the model's preprocessing does.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.wire.messages import AttentionHeader

Floats: TypeAlias = npt.NDArray[np.float32]
Bools: TypeAlias = npt.NDArray[np.bool_]

# Shortest displacement that counts as motion, in cells of the past frame's grid. With the shipped model and a
# still camera (OpenCV's vtest.avi), 99 % of the lengths were at most 0.12 inside the image and 0.25 at its
# border (0.13 and 0.31 after the video was made dark and noisy). Attention at the border can only stray
# inwards: with the smaller bound there, a still image would seem to zoom.
_LEAST_INSIDE, _LEAST_AT_BORDER = 0.14, 0.30


@dataclass(frozen=True, slots=True)
class MotionField:
    """Motion of the content from a past frame to the new one, as measured by attention.

    Attributes:
        start: Position of each place of the new frame in the past one, ``(query_rows, query_columns, 2)``,
            x and y in fractions of the image.
        end: Its position now: the centres of the new frame's cells, same shape.
        confidence: 0 to 1, ``(query_rows, query_columns)``: 1 if all the weight lies in one cell, 0 if it
            is spread evenly or lies on other frames.
        moving: Whether the content moved further than attention strays on a still image, same shape.
    """

    start: Floats
    end: Floats
    confidence: Floats
    moving: Bools

    def thinned(self, most: int) -> "MotionField":
        """The field reduced to at most ``most`` rows and columns, evenly spaced."""
        row, column = (-(-length // most) for length in self.confidence.shape)
        pick = (slice(row // 2, None, row), slice(column // 2, None, column))
        return MotionField(self.start[pick], self.end[pick], self.confidence[pick], self.moving[pick])


def unfold(header: AttentionHeader, attention: npt.NDArray[np.floating]) -> Floats:
    """Attention as ``(query_rows, query_columns, past, rows, columns)``.

    Raises:
        ValueError: The array does not have the header's layout.
    """
    layout = (header.query_rows, header.query_columns, header.past, header.rows, header.columns)
    expected = (layout[0] * layout[1], layout[2] * layout[3] * layout[4])
    if attention.shape != expected:
        raise ValueError(f"attention has shape {attention.shape}, but its header gives {expected}")
    return attention.astype(np.float32).reshape(layout)


def heat_maps(weights: Floats) -> Floats:
    """Mean attention over all places: ``(past, rows, columns)``, 0 to 1 on one scale for all past frames.

    The scale ends at the largest weight, but never below three times the uniform share, so that
    evenly spread attention looks cool everywhere.

    Args:
        weights: From ``unfold``.
    """
    maps: Floats = weights.mean(axis=(0, 1))
    even_share = 1 / maps.size
    scaled: Floats = maps / max(float(maps.max()), 3 * even_share)
    return scaled


def motion_field(weights: Floats, slot: int = -1) -> MotionField:
    """Expected displacement of each cell relative to one past slot.

    Args:
        weights: From ``unfold``.
        slot: Index of the past frame; the last one is t-1.
    """
    query_rows, query_columns, _, rows, columns = weights.shape
    one = weights[:, :, slot]
    mass = one.sum(axis=(2, 3))
    share = one / np.maximum(mass, 1e-6)[:, :, None, None]
    keys, ends = _centres(rows, columns), _centres(query_rows, query_columns)
    starts = np.einsum("qcrk,rkx->qcx", share, keys)
    variance = np.einsum("qcrk,rkx->qc", share, keys**2) - (starts**2).sum(axis=-1)
    even_variance = max(float(keys.reshape(-1, 2).var(axis=0).sum()), 1e-6)
    focus = 1 - np.sqrt(np.clip(variance / even_variance, 0, 1))
    confidence = focus * np.clip(2 * mass, 0, 1)
    grid = np.array([columns, rows], np.float32)
    cells = np.linalg.norm((ends - starts) * grid, axis=-1)
    at_border = ((ends * grid < 1) | (ends * grid > grid - 1)).any(axis=-1)
    moving = cells >= np.where(at_border, _LEAST_AT_BORDER, _LEAST_INSIDE)
    return MotionField(starts.astype(np.float32), ends, confidence.astype(np.float32), moving)


def _centres(rows: int, columns: int) -> Floats:
    y, x = np.meshgrid((np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns, indexing="ij")
    return np.stack([x, y], axis=-1).astype(np.float32)
