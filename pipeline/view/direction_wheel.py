"""Colours for directions, and their legend.

The colours of the eight main directions differ as much as eight colours can, both for full colour vision and
for red-green blindness: the lightest is up, the darkest down, blue is right, yellow to red left.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image
from pipeline.view.canvas import (
    SUBPIXEL_BITS,
    WHITE,
    Box,
    Color,
    Scale,
    fill_panel,
    put_text,
    subpixel,
    text_size,
)

# Red, green, blue; anticlockwise from the right. Any two differ by 31 or more (CIELAB) for people with full
# colour vision, deuteranopia and protanopia, and by 23 or more for those with tritanopia.
_WHEEL = np.array(
    [
        (80, 181, 237),
        (97, 248, 246),
        (203, 248, 169),
        (255, 209, 53),
        (231, 125, 69),
        (199, 53, 83),
        (170, 73, 142),
        (45, 114, 219),
    ],
    np.float32,
)
_UNIT = "widths/s"
_MOST_OF_THE_PICTURE = 0.3
_ARROW = ((0.3, 0.06), (0.62, 0.06), (0.62, 0.2), (1.0, 0.0), (0.62, -0.2), (0.62, -0.06), (0.3, -0.06))
"""Corners of an arrow in units of the radius: distance along the direction, and across it."""


def direction_color(direction_deg: float) -> Color:
    """The colour of a direction: 0 = right, 90 = up."""
    place = direction_deg % 360 / 360 * len(_WHEEL)
    first, part = int(place), place % 1
    mixed = _WHEEL[first % len(_WHEEL)] * (1 - part) + _WHEEL[(first + 1) % len(_WHEEL)] * part
    red, green, blue = mixed.tolist()
    return round(blue), round(green), round(red)


def draw_legend(canvas: Image, top: int, taken: Sequence[Box]) -> Box | None:
    """Draws a ring of arrows in the colours of their directions, and the unit of speed, at the right edge.

    Args:
        canvas: Image, drawn on in place.
        top: Top row of the legend.
        taken: Boxes to leave free.

    Returns:
        The box that was drawn; None if there is no room for it.
    """
    scale = Scale.of(canvas)
    pad, margin, radius, size = scale.px(6), scale.px(10), scale.px(21), 0.36 * scale.unit
    text_width, text_height = text_size(_UNIT, size)
    width = max(2 * radius, text_width) + 2 * pad
    height = 2 * radius + text_height + 3 * pad
    box = Box(scale.width - width - margin, top, width, height)
    is_large = width > _MOST_OF_THE_PICTURE * scale.width or height > _MOST_OF_THE_PICTURE * scale.height
    if is_large or not box.is_free(canvas, taken):
        return None
    fill_panel(canvas, box, scale.px(9))
    part = canvas[box.y + pad : box.y + pad + 2 * radius + 1]
    for direction_deg, arrow in _ring(box.x + width // 2, radius):
        cv2.fillPoly(part, [arrow], direction_color(direction_deg), cv2.LINE_AA, SUBPIXEL_BITS)
    row = box.bottom - pad - text_height // 2 - 1
    put_text(canvas, _UNIT, box.x + (width - text_width) // 2, row, size, WHITE)
    return box


@lru_cache(maxsize=16)
def _ring(column: int, radius: int) -> list[tuple[float, npt.NDArray[np.int32]]]:
    """The main directions, each with its arrow from near the centre to ``radius``."""
    arrows = []
    for number in range(len(_WHEEL)):
        angle = number * math.tau / len(_WHEEL)
        ahead, aside = (
            np.array([math.cos(angle), -math.sin(angle)]),
            np.array([math.sin(angle), math.cos(angle)]),
        )
        corners = np.array([along * ahead + side * aside for along, side in _ARROW])
        arrows.append((math.degrees(angle), subpixel(np.array([column, radius]) + radius * corners)))
    return arrows
