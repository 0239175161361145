"""Attention on the picture: arrows for the motion, thumbnails of the past with what was looked at."""

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image
from pipeline.view.attention_maps import Floats, MotionField
from pipeline.view.canvas import (
    FAINT,
    MUTED,
    PANEL,
    WARM,
    WHITE,
    Box,
    Scale,
    fill_panel,
    paste,
    put_text,
    text_size,
)
from pipeline.wire.messages import PastFrame

LEAST_CONFIDENCE = 0.35
_MOST_ARROWS = 9  # in a row or column
_SUBPIXEL_BITS = 4


def make_thumbnail(image: Image, longest_px: int = 256) -> Image:
    """A small copy of a picture, to remember it for ``draw_attention_thumbnails`` at little cost."""
    height, width = image.shape[:2]
    shrink = min(1.0, longest_px / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    every = max(1, int(0.75 / shrink))  # averaging all pixels of a large picture costs more than it shows
    return _as_image(cv2.resize(image[::every, ::every], size, interpolation=cv2.INTER_AREA))


def draw_motion_arrows(canvas: Image, field: MotionField) -> None:
    """Draws an arrow for each cell whose match is clear: from where the content was to where it is now.

    A cell that is clear but does not move further than attention strays on a still picture gets a dot.
    Of fine grids only every second, third ... cell is drawn.

    Args:
        canvas: Picture, painted on in place.
        field: From ``pipeline.view.attention_maps.motion_field``.
    """
    scale = Scale.of(canvas)
    field = field.thinned(_MOST_ARROWS)
    size = np.array([scale.width, scale.height], np.float32)
    start, end = (field.start * size).reshape(-1, 2), (field.end * size).reshape(-1, 2)
    clear = field.confidence.reshape(-1) >= LEAST_CONFIDENCE
    moving = clear & field.moving.reshape(-1)
    shafts, heads = _arrows(start[moving], end[moving], scale.px(9))
    width, edge = scale.px(1.8), scale.px(2)
    lines, tips = list(_subpixel(shafts)), list(_subpixel(heads))
    dots = list(_subpixel(end[clear & ~moving]))
    # The dark stroke below keeps the bright one readable on any picture.
    cv2.polylines(canvas, lines, False, PANEL, width + edge, cv2.LINE_AA, _SUBPIXEL_BITS)
    cv2.polylines(canvas, tips, True, PANEL, edge + 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    cv2.polylines(canvas, lines, False, WARM, width, cv2.LINE_AA, _SUBPIXEL_BITS)
    for tip in tips:
        cv2.fillConvexPoly(canvas, tip, WARM, cv2.LINE_AA, _SUBPIXEL_BITS)
    for color, radius in ((PANEL, width + edge // 2), (WARM, width)):
        for x, y in dots:
            place = (int(x), int(y))
            cv2.circle(canvas, place, radius << _SUBPIXEL_BITS, color, -1, cv2.LINE_AA, _SUBPIXEL_BITS)


def draw_attention_thumbnails(
    canvas: Image,
    heat: Floats,
    past: list[PastFrame],
    past_images: list[Image | None],
) -> Box:
    """Draws the past frames in the lower right corner, oldest on the left, with heat where attention looked.

    Args:
        canvas: Picture, painted on in place.
        heat: From ``pipeline.view.attention_maps.heat_maps``, ``(T, rows, columns)``, oldest slot first.
        past: The remembered frames, oldest first; with fewer than T the oldest slots are empty.
        past_images: Their pictures in the same order, of any size; None where a picture is gone.

    Returns:
        The box that was painted over.
    """
    scale = Scale.of(canvas)
    gap, margin, pad = scale.px(10), scale.px(10), scale.px(7)
    caption = scale.px(19)
    width = max(scale.px(40), min(round(scale.width * 0.165), round(scale.height * 0.24)))
    height = min(round(width * scale.height / scale.width), round(scale.height * 0.3))
    shown = min(len(heat), max(1, round(scale.width * 0.55) // (width + gap)))
    panel_width = shown * width + (shown - 1) * gap + 2 * pad
    panel_height = height + caption + pad
    left, top = scale.width - panel_width - margin, scale.height - panel_height - margin
    box = Box(left, top, panel_width, panel_height)
    fill_panel(canvas, box, scale.px(9))
    for column in range(shown):
        steps_back = shown - column
        x = box.x + pad + column * (width + gap)
        picture = past_images[-steps_back] if steps_back <= len(past_images) else None
        frame = past[-steps_back] if steps_back <= len(past) else None
        thumbnail = _heated(picture, heat[-steps_back] if frame else None, width, height)
        paste(canvas, thumbnail, x, box.y + pad, scale.px(4))
        _caption(canvas, f"t-{steps_back}", frame, Box(x, box.bottom - caption, width, caption), scale)
        if frame is None:
            size = 0.38 * scale.unit
            left = x + (width - text_size("no past", size)[0]) // 2
            put_text(canvas, "no past", left, box.y + pad + height // 2, size, FAINT)
    return box


def _caption(canvas: Image, slot: str, frame: PastFrame | None, box: Box, scale: Scale) -> None:
    size = 0.38 * scale.unit
    middle = box.y + box.height // 2
    put_text(canvas, slot, box.x + 1, middle, size, WHITE, bold=True)
    left = box.x + 1 + text_size(slot, size, bold=True)[0] + scale.px(6)
    if frame is not None:
        age = _age(frame.age_ms)
        # Half a number would be a wrong number: the unit goes first, then all of it.
        fitting = (text for text in (age, age.split()[0]) if text_size(text, size)[0] <= box.right - left)
        age = next(fitting, "")
        put_text(canvas, age, box.right - text_size(age, size)[0], middle, size, MUTED)


def _age(age_ms: float) -> str:
    return f"-{age_ms:.0f} ms" if age_ms < 9999.5 else f"-{age_ms / 1000:.0f} s"


def _heated(picture: Image | None, heat: Floats | None, width: int, height: int) -> Image:
    """A thumbnail with heat over it: cold places darkened, warm ones tinted."""
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


def _subpixel(points: Floats) -> npt.NDArray[np.int32]:
    return np.round(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _as_image(array: npt.NDArray[np.generic] | cv2.typing.MatLike) -> Image:
    return np.asarray(array, dtype=np.uint8)
