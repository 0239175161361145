"""Draws zones and lines, and highlights those where something is happening."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image
from pipeline.base.moving_thing import Point
from pipeline.view.canvas import (
    PANEL,
    SUBPIXEL_BITS,
    WARM,
    WHITE,
    Box,
    Scale,
    fill_panel,
    put_text,
    subpixel,
    text_size,
    translucent,
)

_TINT = 0.16


@dataclass(frozen=True, slots=True)
class Watched:
    """A zone or a line as drawn.

    Attributes:
        name: Its name.
        points: As shares of the image.
        is_line: Whether it is a line, drawn with an arrow in its forward direction.
        is_lit: Whether something is happening there now.
        note: Text beside its name, such as counts; may be empty.
    """

    name: str
    points: Sequence[Point]
    is_line: bool = False
    is_lit: bool = False
    note: str = ""


def draw_watched(canvas: Image, watched: Sequence[Watched]) -> None:
    """Draws zones and lines, active ones in a warm colour.

    Args:
        canvas: Image, drawn on in place.
        watched: What to draw.
    """
    scale = Scale.of(canvas)
    shapes = [_pixels(one, scale) for one in watched]
    lit = [shape for one, shape in zip(watched, shapes, strict=True) if one.is_lit and not one.is_line]
    with translucent(canvas, _TINT, lit) as tint:
        for shape in lit:
            cv2.fillPoly(tint, [shape], WARM, cv2.LINE_AA, SUBPIXEL_BITS)
    for one, shape in zip(watched, shapes, strict=True):
        color = WARM if one.is_lit else WHITE
        for width, shade in ((scale.px(1.2) + scale.px(1.4), PANEL), (scale.px(1.2), color)):
            cv2.polylines(canvas, [shape], not one.is_line, shade, width, cv2.LINE_AA, SUBPIXEL_BITS)
            if one.is_line:
                start, end = _arrow(one.points, scale)
                cv2.arrowedLine(canvas, start, end, shade, width, cv2.LINE_AA, SUBPIXEL_BITS, 0.4)


def name_watched(canvas: Image, watched: Sequence[Watched], taken: Sequence[Box]) -> list[Box]:
    """Draws the names, space permitting; returns the boxes that were drawn.

    Args:
        canvas: Image, drawn on in place.
        watched: What to name.
        taken: Boxes to leave free.
    """
    scale = Scale.of(canvas)
    size, pad, height = 0.4 * scale.unit, scale.px(5), scale.px(17)
    boxes: list[Box] = []
    for one in watched:
        text = f"{one.name}  {one.note}" if one.note else one.name
        width = text_size(text, size)[0] + 2 * pad
        for x, y in sorted(one.points, key=lambda point: (point[1], point[0])):
            left = min(max(round(x * scale.width), 0), scale.width - width)
            top = min(max(round(y * scale.height) - height, 0), scale.height - height)
            box = Box(left, top, width, height)
            if box.is_free(canvas, [*taken, *boxes]):
                fill_panel(canvas, box, scale.px(5))
                put_text(canvas, text, box.x + pad, box.y + height // 2, size, WARM if one.is_lit else WHITE)
                boxes.append(box)
                break
    return boxes


def _pixels(one: Watched, scale: Scale) -> npt.NDArray[np.int32]:
    return subpixel(np.array(one.points) * [scale.width - 1, scale.height - 1])


def _arrow(points: Sequence[Point], scale: Scale) -> tuple[list[int], list[int]]:
    """Ends of an arrow from the middle of the line to its right, as seen from the first point to the last."""
    pixels = np.array(points) * [scale.width - 1, scale.height - 1]
    middle = (len(pixels) - 1) // 2
    start, end = pixels[middle], pixels[middle + 1]
    along = (end - start) / max(math.hypot(*(end - start)), 1.0)
    across = np.array([-along[1], along[0]]) * scale.px(20)
    centre = (start + end) / 2
    return subpixel(centre).tolist(), subpixel(centre + across).tolist()
