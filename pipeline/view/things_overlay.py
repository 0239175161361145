"""Things that move, on the picture: outlines tinted by direction, and arrows."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image
from pipeline.base.moving_thing import Thing
from pipeline.scene.sentence import IN_PLACE
from pipeline.view.canvas import MUTED, PANEL, Color, Scale
from pipeline.view.direction_wheel import direction_color

_TINT = 0.3
_ARROW_S = 0.5  # an arrow shows the way of so much time
_LONGEST = 0.25  # of the picture's width
_ROUNDINGS = 2
_SUBPIXEL_BITS = 4


def thing_color(thing: Thing) -> Color:
    """The colour of its direction; grey for what moves in place, which has none."""
    return direction_color(thing.direction_deg) if thing.speed >= IN_PLACE else MUTED


def draw_things(canvas: Image, things: Sequence[Thing]) -> None:
    """Outlines and tints each thing, and draws its arrow.

    Args:
        canvas: Picture, painted on in place.
        things: In it; the surest is painted last.
    """
    scale = Scale.of(canvas)
    size = np.array([scale.width, scale.height], np.float32)
    tint, shapes = canvas.copy(), []
    for thing in reversed(things):
        outline = _subpixel(_rounded(np.array(thing.outline, np.float32).reshape(-1, 2) * size))
        color = thing_color(thing)
        shapes.append((thing, outline, color))
        if len(outline):
            cv2.fillPoly(tint, [outline], color, cv2.LINE_AA, _SUBPIXEL_BITS)
    if shapes:
        cv2.addWeighted(tint, _TINT, canvas, 1 - _TINT, 0, dst=canvas)
    for thing, outline, color in shapes:
        for width, shade in ((scale.px(1.6) + scale.px(1.6), PANEL), (scale.px(1.6), color)):
            cv2.polylines(canvas, [outline], True, shade, width, cv2.LINE_AA, _SUBPIXEL_BITS)
        _draw_arrow(canvas, thing, color, scale)


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


def _rounded(corners: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A closed polygon with its corners cut (Chaikin, 1974): places are coarse, what they show is not."""
    for _ in range(_ROUNDINGS):
        after = np.roll(corners, -1, axis=0)
        corners = np.stack([0.75 * corners + 0.25 * after, 0.25 * corners + 0.75 * after], axis=1).reshape(
            -1, 2
        )
    return corners


def _subpixel(points: npt.NDArray[np.floating]) -> npt.NDArray[np.int32]:
    return np.round(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)
