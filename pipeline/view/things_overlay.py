"""Draws moving objects: outlines coloured by direction, trails and arrows."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image
from pipeline.base.moving_thing import Thing
from pipeline.scene.sentence import IN_PLACE
from pipeline.view.canvas import MUTED, PANEL, SUBPIXEL_BITS, Color, Scale, subpixel, translucent
from pipeline.view.direction_wheel import direction_color

_TINT = 0.3
_ARROW_S = 0.5  # an arrow shows the displacement in this time
_LONGEST = 0.25  # of the image's width
_ROUNDINGS = 2
_TRAIL_WIDTHS = (0.8, 1.4, 2.0)


def thing_color(thing: Thing) -> Color:
    """The colour of its direction; grey for motion in place, which has no direction."""
    return direction_color(thing.direction_deg) if thing.speed >= IN_PLACE else MUTED


def draw_things(canvas: Image, things: Sequence[Thing], *, tint: bool = True) -> None:
    """Outlines each thing, and draws its trail and arrow.

    Args:
        canvas: Image, drawn on in place.
        things: Highest score first; drawn in reverse order.
        tint: Whether to fill the outlines; False for positions that are only estimated.
    """
    scale = Scale.of(canvas)
    size = np.array([scale.width, scale.height], np.float32)
    shapes = []
    for thing in reversed(things):
        outline = subpixel(rounded(np.array(thing.outline, np.float32).reshape(-1, 2) * size))
        shapes.append((thing, outline, thing_color(thing)))
    if tint:
        with translucent(canvas, _TINT, [outline for _, outline, _ in shapes]) as tinted:
            for _, outline, color in shapes:
                if len(outline):
                    cv2.fillPoly(tinted, [outline], color, cv2.LINE_AA, SUBPIXEL_BITS)
    for thing, _, color in shapes:
        if thing.speed >= IN_PLACE:
            _draw_trail(canvas, thing, color, scale)
    for thing, outline, color in shapes:
        for width, shade in ((scale.px(1.6) + scale.px(1.6), PANEL), (scale.px(1.6), color)):
            cv2.polylines(canvas, [outline], True, shade, width, cv2.LINE_AA, SUBPIXEL_BITS)
        _draw_arrow(canvas, thing, color, scale)


def _draw_trail(canvas: Image, thing: Thing, color: Color, scale: Scale) -> None:
    """Draws its path; the line gets wider towards the present."""
    x, y, width, height = thing.box
    points = np.array([*thing.trail, (x + width / 2, y + height / 2)]) * [scale.width, scale.height]
    before, after = np.concatenate([points[:1], points[:-1]]), np.concatenate([points[1:], points[-1:]])
    smooth = subpixel((before + 2 * points + after) / 4)
    cv2.polylines(canvas, [smooth], False, PANEL, scale.px(2.4), cv2.LINE_AA, SUBPIXEL_BITS)
    for number, part in enumerate(np.array_split(np.arange(len(points) - 1), len(_TRAIL_WIDTHS))):
        ends = [smooth[first : first + 2] for first in part]
        cv2.polylines(canvas, ends, False, color, scale.px(_TRAIL_WIDTHS[number]), cv2.LINE_AA, SUBPIXEL_BITS)


def _draw_arrow(canvas: Image, thing: Thing, color: Color, scale: Scale) -> None:
    length = min(thing.speed * _ARROW_S, _LONGEST) * scale.width
    if length < scale.px(6):
        return
    x, y, width, height = thing.box
    middle = np.array([(x + width / 2) * scale.width, (y + height / 2) * scale.height])
    angle = math.radians(thing.direction_deg)
    ahead = np.array([math.cos(angle), -math.sin(angle)])
    start, end = (subpixel(point).tolist() for point in (middle, middle + ahead * length))
    head = max(0.15, min(0.5, scale.px(9) / length))
    for thick, shade in ((scale.px(2.2) + scale.px(2), PANEL), (scale.px(2.2), color)):
        cv2.arrowedLine(canvas, start, end, shade, thick, cv2.LINE_AA, SUBPIXEL_BITS, head)


def rounded(corners: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A closed polygon ``(n, 2)`` with its corners cut (Chaikin, 1974), which hides the coarse grid."""
    for _ in range(_ROUNDINGS):
        after = np.roll(corners, -1, axis=0)
        corners = np.stack([0.75 * corners + 0.25 * after, 0.25 * corners + 0.75 * after], axis=1).reshape(
            -1, 2
        )
    return corners
