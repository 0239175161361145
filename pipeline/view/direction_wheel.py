"""The colours of directions, and the legend that explains them.

The eight main directions are as far apart as eight colours can be for people with full colour vision and with
red-green blindness at once: the lightest is up, the darkest down, blue is right, yellow to red left.
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image
from pipeline.view.canvas import WHITE, Box, Color, Scale, fill_panel, put_text, text_size

# Red, green, blue; anticlockwise from the right. Any two differ by 31 or more (CIELAB) for people with full
# colour vision, deuteranopia and protanopia, by 23 for those with tritanopia.
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
_SUBPIXEL_BITS = 4


def direction_color(direction_deg: float) -> Color:
    """The colour of a direction: 0 = right, 90 = up."""
    place = direction_deg % 360 / 360 * len(_WHEEL)
    first, part = int(place), place % 1
    mixed = _WHEEL[first % len(_WHEEL)] * (1 - part) + _WHEEL[(first + 1) % len(_WHEEL)] * part
    red, green, blue = mixed.tolist()
    return round(blue), round(green), round(red)


def draw_legend(canvas: Image, top: int) -> Box | None:
    """Draws a ring of arrows in the colours of their directions, and the unit of speeds, at the right edge.

    Args:
        canvas: Picture, painted on in place.
        top: First row that is free.

    Returns:
        The box that was painted over; None where the picture has no room for it.
    """
    scale = Scale.of(canvas)
    pad, margin, radius, size = scale.px(6), scale.px(10), scale.px(21), 0.36 * scale.unit
    text_width, text_height = text_size(_UNIT, size)
    width = max(2 * radius, text_width) + 2 * pad
    height = 2 * radius + text_height + 3 * pad
    box = Box(scale.width - width - margin, top, width, height)
    if width > _MOST_OF_THE_PICTURE * scale.width or height > _MOST_OF_THE_PICTURE * scale.height:
        return None
    fill_panel(canvas, box, scale.px(9))
    middle = np.array([box.x + width / 2, box.y + pad + radius])
    for number in range(len(_WHEEL)):
        direction_deg = number * 360 / len(_WHEEL)
        tip = _arrow(middle, direction_deg, radius)
        cv2.fillPoly(canvas, [tip], direction_color(direction_deg), cv2.LINE_AA, _SUBPIXEL_BITS)
    row = box.bottom - pad - text_height // 2 - 1
    put_text(canvas, _UNIT, box.x + (width - text_width) // 2, row, size, WHITE)
    return box


def _arrow(middle: npt.NDArray[np.float64], direction_deg: float, radius: int) -> npt.NDArray[np.int32]:
    """An arrow of the ring: it begins near the middle and ends at ``radius``."""
    angle = math.radians(direction_deg)
    ahead = np.array([math.cos(angle), -math.sin(angle)])
    aside = np.array([-ahead[1], ahead[0]])
    along_aside = (
        (0.3, 0.06),
        (0.62, 0.06),
        (0.62, 0.2),
        (1.0, 0.0),
        (0.62, -0.2),
        (0.62, -0.06),
        (0.3, -0.06),
    )
    corners = [middle + radius * (along * ahead + side * aside) for along, side in along_aside]
    return np.round(np.array(corners) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
