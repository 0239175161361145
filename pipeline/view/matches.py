"""Draws why an event was reported: the object now, next to its matches in past frames."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import msgspec
import numpy as np

from pipeline.base.frame import Image
from pipeline.base.moving_thing import Rectangle, Thing
from pipeline.view.canvas import (
    FAINT,
    MUTED,
    PANEL,
    SUBPIXEL_BITS,
    WHITE,
    Scale,
    fit_text,
    put_text,
    subpixel,
    text_size,
    translucent,
)
from pipeline.view.things_overlay import thing_color
from pipeline.view.thumbnails import age_in_words, mark_past
from pipeline.view.watch_overlay import Watched, draw_watched

_WIDTH, _GAP, _HEADER, _CAPTION = 1440, 10, 56, 34
_WORDS, _NAMES = 0.9, 0.72
"""Text sizes: of the headline, and of the names of the frames."""
_TALLEST = 1.2
"""Largest height / width of an image as drawn; taller images are compressed vertically."""
_AROUND = 1.8
"""Size of a close-up relative to its content."""
_SMALLEST = 0.16
"""Smallest share of the image's width shown in a close-up: a smaller one would be blurred."""
_LINES = 0.75
"""Opacity of the lines from past positions to the present one."""


class PastPicture(NamedTuple):
    """A past frame used by a prediction.

    Attributes:
        image: Its image; None if it is no longer available.
        age_ms: Its age relative to the newest frame.
        was: The thing's box in it.
    """

    image: Image | None
    age_ms: float
    was: Rectangle


def draw_matches(
    image: Image, thing: Thing, past: Sequence[PastPicture], words: str, watched: Sequence[Watched] = ()
) -> Image:
    """Draws one column per frame, oldest first: the whole image, and a close-up of the match in it.

    Args:
        image: The newest image, of any size.
        thing: The thing that the event is about.
        past: The frames in which it was matched, oldest first.
        words: What happened, in one line.
        watched: The zone or line of the event, shown in the newest image.

    Returns:
        A new image, 1440 pixels wide; lines lead from each matched place to the thing.
    """
    columns = len(past) + 1
    width = (_WIDTH - (columns + 1) * _GAP) // columns
    height = round(width * min(image.shape[0] / image.shape[1], _TALLEST))
    top, close = _HEADER + _CAPTION, _HEADER + _CAPTION + height + _GAP
    canvas: Image = np.full((close + height + _GAP, _WIDTH, 3), PANEL, np.uint8)
    words = fit_text(words, _WORDS, _WIDTH - 2 * _GAP, bold=True)
    put_text(canvas, words, _GAP, _HEADER // 2, _WORDS, WHITE, bold=True)
    region = _close_up([thing.box, *(one.was for one in past)])
    middles = []
    for column, one in enumerate([*past, PastPicture(image, 0.0, thing.box)]):
        left, steps = _GAP + column * (width + _GAP), len(past) - column
        name, age = (f"t-{steps}", age_in_words(one.age_ms)) if steps else ("now", "")
        put_text(canvas, name, left, _HEADER + _CAPTION // 2, _NAMES, WHITE, bold=True)
        beside = left + text_size(f"{name} ", _NAMES, bold=True)[0]
        put_text(canvas, age, beside, _HEADER + _CAPTION // 2, _NAMES, MUTED)
        whole = _resized(one.image, width, height)
        draw_watched(whole, () if steps else watched)
        _frame(whole, region)
        mark_past(whole, thing, one.was, Scale.of(whole))
        canvas[top : top + height, left : left + width] = whole
        near = _resized(_cut(one.image, region), width, height)
        mark_past(near, _seen_in(thing, region), _within(one.was, region), Scale.of(canvas))
        canvas[close : close + height, left : left + width] = near
        x, y, wide, high = _within(one.was, region)
        middles.append((left + (x + wide / 2) * width, close + (y + high / 2) * height))
    _connect(canvas, middles, thing)
    return canvas


def _close_up(boxes: Sequence[Rectangle]) -> Rectangle:
    """The part of the image around all boxes, with the image's aspect ratio."""
    left, top = (min(box[axis] for box in boxes) for axis in (0, 1))
    right, bottom = (max(box[axis] + box[axis + 2] for box in boxes) for axis in (0, 1))
    side = min(1.0, max(_SMALLEST, _AROUND * max(right - left, bottom - top)))
    x, y = (
        min(max((first + last - side) / 2, 0.0), 1.0 - side) for first, last in ((left, right), (top, bottom))
    )
    return x, y, side, side


def _within(box: Rectangle, region: Rectangle) -> Rectangle:
    """Converts a box to shares of a part of the image."""
    x, y, width, height = region
    return (box[0] - x) / width, (box[1] - y) / height, box[2] / width, box[3] / height


def _seen_in(thing: Thing, region: Rectangle) -> Thing:
    """Converts a thing to shares of a part of the image."""
    points = [_within((x, y, 0.0, 0.0), region)[:2] for x, y in thing.outline]
    return msgspec.structs.replace(thing, box=_within(thing.box, region), outline=points)


def _cut(image: Image | None, region: Rectangle) -> Image | None:
    if image is None:
        return None
    height, width = image.shape[:2]
    left, top = round(region[0] * width), round(region[1] * height)
    right, bottom = round((region[0] + region[2]) * width), round((region[1] + region[3]) * height)
    return image[top : max(bottom, top + 1), left : max(right, left + 1)]


def _resized(image: Image | None, width: int, height: int) -> Image:
    if image is None:
        gone: Image = np.full((height, width, 3), 40, np.uint8)
        text = "not available"
        left = (width - text_size(text, _NAMES)[0]) // 2
        put_text(gone, text, left, height // 2, _NAMES, FAINT)
        return gone
    way = cv2.INTER_AREA if image.shape[1] > width else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=way), np.uint8)


def _frame(whole: Image, region: Rectangle) -> None:
    """Outlines the part shown in the close-up."""
    height, width = whole.shape[:2]
    corners = subpixel(np.array(region) * [width - 1, height - 1, width - 1, height - 1])
    for thick, shade in ((3, PANEL), (1, WHITE)):
        cv2.rectangle(whole, corners.tolist(), shade, thick, cv2.LINE_AA, SUBPIXEL_BITS)


def _connect(canvas: Image, middles: Sequence[tuple[float, float]], thing: Thing) -> None:
    """Draws lines from each matched place to the thing."""
    *starts, end = middles
    lines, color = [subpixel(np.array([start, end])) for start in starts], thing_color(thing)
    with translucent(canvas, _LINES, lines, edge_px=6) as above:
        for thick, shade in ((5, PANEL), (2, color)):
            cv2.polylines(above, lines, False, shade, thick, cv2.LINE_AA, SUBPIXEL_BITS)
    for middle in subpixel(np.array(middles)).tolist():
        for radius, shade in ((6, PANEL), (4, color)):
            cv2.circle(canvas, middle, radius << SUBPIXEL_BITS, shade, -1, cv2.LINE_AA, SUBPIXEL_BITS)
