"""Draws attention on a frame: arrows that show where and how content moves."""

import cv2
import numpy as np

from pipeline.base.frame import Image
from pipeline.view.attention_maps import Floats, MotionField
from pipeline.view.canvas import PANEL, SUBPIXEL_BITS, WARM, Scale, subpixel

LEAST_CONFIDENCE = 0.35
_MOST_ARROWS = 9  # per row and per column


def draw_motion_arrows(canvas: Image, field: MotionField) -> None:
    """Draws an arrow for each cell with a clear match: from the content's past position to its present one.

    Cells whose motion is within the error of attention on a still image get none. Fine grids are thinned to
    every second, third ... cell.

    Args:
        canvas: Image, drawn on in place.
        field: From ``pipeline.view.attention_maps.motion_field``.
    """
    scale = Scale.of(canvas)
    field = field.thinned(_MOST_ARROWS)
    size = np.array([scale.width, scale.height], np.float32)
    start, end = (field.start * size).reshape(-1, 2), (field.end * size).reshape(-1, 2)
    sure = (field.confidence >= LEAST_CONFIDENCE).reshape(-1) & field.moving.reshape(-1)
    shafts, heads = _arrows(start[sure], end[sure], scale.px(9))
    width, edge = scale.px(1.8), scale.px(2)
    lines, tips = list(subpixel(shafts)), list(subpixel(heads))
    # The dark stroke below keeps the bright one readable on any background.
    cv2.polylines(canvas, lines, False, PANEL, width + edge, cv2.LINE_AA, SUBPIXEL_BITS)
    cv2.polylines(canvas, tips, True, PANEL, edge + 1, cv2.LINE_AA, SUBPIXEL_BITS)
    cv2.polylines(canvas, lines, False, WARM, width, cv2.LINE_AA, SUBPIXEL_BITS)
    for tip in tips:
        cv2.fillConvexPoly(canvas, tip, WARM, cv2.LINE_AA, SUBPIXEL_BITS)


def _arrows(start: Floats, end: Floats, head_px: int) -> tuple[Floats, Floats]:
    """Shafts ``(N, 2, 2)`` and triangular heads ``(N, 3, 2)`` of arrows in pixels."""
    along = end - start
    length = np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-6)
    along = along / length
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    head = np.minimum(head_px, length * 0.6)
    neck = end - along * head
    shafts = np.stack([start, neck], axis=1)
    heads = np.stack([end, neck + across * head * 0.5, neck - across * head * 0.5], axis=1)
    return shafts.astype(np.float32), heads.astype(np.float32)
