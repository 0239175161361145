"""Things that move, on the picture: outlines tinted by direction, arrows with the speed.

Directions have the colours of a wheel whose opposite ends people with any colour vision tell apart: blue is
right, yellow up, vermilion left, violet down.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image
from pipeline.base.moving_thing import Thing
from pipeline.view.canvas import PANEL, WHITE, Box, Color, Scale, fill_panel, put_text, text_size

# Okabe and Ito's palette, https://jfly.uni-koeln.de/color/ (blue, green, red): right, up, left, down
_WHEEL = np.array([(233, 180, 86), (66, 228, 240), (0, 94, 213), (167, 121, 204)], np.float32)
_TINT = 0.28
_ARROW_S = 0.5  # an arrow shows the way of so much time
_LONGEST = 0.25  # of the picture's width
_SUBPIXEL_BITS = 4


def direction_color(direction_deg: float) -> Color:
    """The colour of a direction: 0 = right, 90 = up."""
    place = direction_deg % 360 / 90
    first, part = int(place), place % 1
    blue, green, red = _WHEEL[first % 4] * (1 - part) + _WHEEL[(first + 1) % 4] * part
    return round(float(blue)), round(float(green)), round(float(red))


def draw_things(canvas: Image, things: Sequence[Thing]) -> None:
    """Outlines and tints each thing, and draws its arrow and its speed in picture widths a second.

    Args:
        canvas: Picture, painted on in place.
        things: In it; the surest is painted last.
    """
    scale = Scale.of(canvas)
    size = np.array([scale.width, scale.height], np.float32)
    tint, outlines = canvas.copy(), []
    for thing in reversed(things):
        outline = _subpixel(np.array(thing.outline, np.float32).reshape(-1, 2) * size)
        outlines.append(outline)
        if len(outline):
            color = direction_color(thing.direction_deg)
            cv2.fillPoly(tint, [outline], color, cv2.LINE_AA, _SUBPIXEL_BITS)
    if outlines:
        cv2.addWeighted(tint, _TINT, canvas, 1 - _TINT, 0, dst=canvas)
    for thing, outline in zip(reversed(things), outlines, strict=True):
        color = direction_color(thing.direction_deg)
        for width, shade in ((scale.px(1.6) + scale.px(1.6), PANEL), (scale.px(1.6), color)):
            cv2.polylines(canvas, [outline], True, shade, width, cv2.LINE_AA, _SUBPIXEL_BITS)
        _draw_arrow(canvas, thing, color, scale)
    for thing in reversed(things):
        _draw_speed(canvas, thing, scale)


def _draw_arrow(canvas: Image, thing: Thing, color: Color, scale: Scale) -> None:
    length = min(thing.speed * _ARROW_S, _LONGEST) * scale.width
    if length < scale.px(6):
        return
    x, y, width, height = thing.box
    middle = np.array([(x + width / 2) * scale.width, (y + height / 2) * scale.height])
    angle = math.radians(thing.direction_deg)
    ahead = np.array([math.cos(angle), -math.sin(angle)])
    start, end = (_subpixel(point).tolist() for point in (middle, middle + ahead * length))
    head = max(0.15, min(0.5, scale.px(9) / length))
    for thick, shade in ((scale.px(2.2) + scale.px(2), PANEL), (scale.px(2.2), color)):
        cv2.arrowedLine(canvas, start, end, shade, thick, cv2.LINE_AA, _SUBPIXEL_BITS, head)


def _draw_speed(canvas: Image, thing: Thing, scale: Scale) -> None:
    text, size = f"{thing.speed:.2f}", 0.38 * scale.unit
    width, pad = text_size(text, size)[0], scale.px(4)
    x, y = thing.box[0] * scale.width, thing.box[1] * scale.height
    row = scale.px(16)
    left = int(min(max(x, 0), scale.width - width - 2 * pad))
    top = int(y - row - scale.px(3)) if y > row + scale.px(3) else int(y + scale.px(3))
    fill_panel(canvas, Box(left, top, width + 2 * pad, row), scale.px(5))
    put_text(canvas, text, left + pad, top + row // 2, size, WHITE)


def _subpixel(points: npt.NDArray[np.floating]) -> npt.NDArray[np.int32]:
    return np.round(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)
