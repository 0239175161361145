"""Draws thumbnails of past frames, with the attention or the main object in them."""

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image
from pipeline.base.moving_thing import Rectangle, Thing
from pipeline.view.attention_maps import Floats
from pipeline.view.canvas import (
    FAINT,
    MUTED,
    PANEL,
    SUBPIXEL_BITS,
    WHITE,
    Box,
    Scale,
    fill_panel,
    paste,
    put_text,
    subpixel,
    text_size,
    translucent,
)
from pipeline.view.things_overlay import rounded, thing_color
from pipeline.wire.messages import PastFrame

_THINNEST = np.float32(0.01)
"""Side of a box, as a share of the image, below which its outline is no longer scaled up."""
_LINES = 0.6
"""Opacity of the lines from past positions to the present one."""


def make_thumbnail(image: Image, longest_px: int = 256) -> Image:
    """A small copy of an image for ``draw_thumbnails`` that is cheap to keep."""
    height, width = image.shape[:2]
    shrink = min(1.0, longest_px / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    every = max(1, int(0.75 / shrink))  # averaging all pixels of a large image is slower without visible gain
    return _as_image(cv2.resize(image[::every, ::every], size, interpolation=cv2.INTER_AREA))


def draw_thumbnails(
    canvas: Image,
    slots: int,
    past: list[PastFrame],
    past_images: list[Image | None],
    *,
    heat: Floats | None = None,
    thing: Thing | None = None,
) -> Box:
    """Draws the past frames in the lower right corner, oldest on the left.

    Args:
        canvas: Image, drawn on in place.
        slots: Number of past frames that the network can use.
        past: The past frames, oldest first; with fewer than ``slots`` the oldest slots are empty.
        past_images: Their images in the same order, of any size; None if no longer available.
        heat: Attention to each frame, ``(slots, rows, columns)``, oldest slot first, from
            ``pipeline.view.attention_maps.heat_maps``.
        thing: Drawn at its past positions, with lines to the present one.

    Returns:
        The box that was drawn.
    """
    scale = Scale.of(canvas)
    gap, margin, pad = scale.px(10), scale.px(10), scale.px(7)
    caption = scale.px(19)
    width = max(scale.px(40), min(round(scale.width * 0.165), round(scale.height * 0.24)))
    height = min(round(width * scale.height / scale.width), round(scale.height * 0.3))
    shown = min(slots, max(1, round(scale.width * 0.55) // (width + gap)))
    panel_width = shown * width + (shown - 1) * gap + 2 * pad
    panel_height = height + caption + pad
    left, top = scale.width - panel_width - margin, scale.height - panel_height - margin
    box = Box(left, top, panel_width, panel_height)
    fill_panel(canvas, box, scale.px(9))
    lines = []
    for column in range(shown):
        steps_back = shown - column
        x = box.x + pad + column * (width + gap)
        picture = past_images[-steps_back] if steps_back <= len(past_images) else None
        frame = past[-steps_back] if steps_back <= len(past) else None
        thumbnail = _heated(
            picture, None if heat is None or frame is None else heat[-steps_back], width, height
        )
        if thing is not None and steps_back <= len(thing.was):
            was = thing.was[-steps_back]
            mark_past(thumbnail, thing, was, scale)
            lines.append((x + (was[0] + was[2] / 2) * width, box.y + pad + (was[1] + was[3] / 2) * height))
        paste(canvas, thumbnail, x, box.y + pad, scale.px(4))
        _caption(canvas, f"t-{steps_back}", frame, Box(x, box.bottom - caption, width, caption), scale)
        if frame is None:
            size = 0.38 * scale.unit
            left = x + (width - text_size("no past", size)[0]) // 2
            put_text(canvas, "no past", left, box.y + pad + height // 2, size, FAINT)
    if thing is not None:
        _draw_lines(canvas, lines, thing, scale)
    return box


def mark_past(thumbnail: Image, thing: Thing, was: Rectangle, scale: Scale) -> None:
    """Draws a thing's current outline in a past image, moved and scaled to its box there."""
    size = np.array([thumbnail.shape[1], thumbnail.shape[0]], np.float32)
    now, then = np.array(thing.box, np.float32), np.array(was, np.float32)
    corners = np.array(thing.outline, np.float32).reshape(-1, 2)
    moved = (corners - now[:2]) * (then[2:] / np.maximum(now[2:], _THINNEST)) + then[:2]
    outline = subpixel(rounded((moved * size).astype(np.float32)))
    for width, shade in ((scale.px(3), PANEL), (scale.px(1.3), thing_color(thing))):
        cv2.polylines(thumbnail, [outline], True, shade, width, cv2.LINE_AA, SUBPIXEL_BITS)


def _draw_lines(canvas: Image, starts: list[tuple[float, float]], thing: Thing, scale: Scale) -> None:
    """Lines from past positions, in pixels, to the thing's current centre; translucent."""
    x, y, width, height = thing.box
    end = ((x + width / 2) * scale.width, (y + height / 2) * scale.height)
    lines, color = [subpixel(np.array([start, end])) for start in starts], thing_color(thing)
    with translucent(canvas, _LINES, lines, edge_px=scale.px(2.4)) as above:
        for thick, shade in ((scale.px(2.4), PANEL), (scale.px(1.1), color)):
            cv2.polylines(above, lines, False, shade, thick, cv2.LINE_AA, SUBPIXEL_BITS)
    for first, _ in (line.tolist() for line in lines):
        for radius, shade in ((scale.px(2.6), PANEL), (scale.px(1.8), color)):
            cv2.circle(canvas, first, radius << SUBPIXEL_BITS, shade, -1, cv2.LINE_AA, SUBPIXEL_BITS)


def _caption(canvas: Image, slot: str, frame: PastFrame | None, box: Box, scale: Scale) -> None:
    size = 0.38 * scale.unit
    middle = box.y + box.height // 2
    put_text(canvas, slot, box.x + 1, middle, size, WHITE, bold=True)
    left = box.x + 1 + text_size(slot, size, bold=True)[0] + scale.px(6)
    if frame is not None:
        age = age_in_words(frame.age_ms)
        # A truncated number would be wrong: the unit is dropped first, then the whole text.
        fitting = (text for text in (age, age.split()[0]) if text_size(text, size)[0] <= box.right - left)
        age = next(fitting, "")
        put_text(canvas, age, box.right - text_size(age, size)[0], middle, size, MUTED)


def age_in_words(age_ms: float) -> str:
    """The age of a past frame, such as "-204 ms"."""
    return f"-{age_ms:.0f} ms" if age_ms < 9999.5 else f"-{age_ms / 1000:.0f} s"


def _heated(picture: Image | None, heat: Floats | None, width: int, height: int) -> Image:
    """A thumbnail with a heat map: cold places darkened, warm ones tinted."""
    if picture is None:
        thumbnail = np.full((height, width, 3), (44, 36, 30), np.uint8)
    else:
        small = picture if max(picture.shape[:2]) <= 4 * width else make_thumbnail(picture, width)
        thumbnail = _as_image(cv2.resize(small, (width, height)))
    if heat is None:
        return thumbnail
    smooth = cv2.resize(heat, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1).astype(np.float32)
    tint = _as_image(cv2.applyColorMap((smooth * 255).astype(np.uint8), cv2.COLORMAP_INFERNO))
    opacity = 0.15 + 0.6 * smooth
    return _as_image(cv2.blendLinear(thumbnail, tint, 1 - opacity, opacity))


def _as_image(array: npt.NDArray[np.generic] | cv2.typing.MatLike) -> Image:
    return np.asarray(array, dtype=np.uint8)
