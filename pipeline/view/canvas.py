"""Drawing tools of the overlay: palette, sizes, text and translucent panels.

All functions draw on ``canvas``, a writable BGR image, in place; positions are in pixels.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image
from pipeline.view.typesetting import CAPITAL_EM, text_mask, text_width

Color: TypeAlias = tuple[int, int, int]

PANEL: Color = (26, 19, 15)
WHITE: Color = (250, 250, 250)
MUTED: Color = (196, 187, 178)
FAINT: Color = (120, 108, 98)
ACCENT: Color = (216, 176, 32)
ACCENT_DEEP: Color = (140, 104, 14)
GOOD: Color = (110, 208, 84)
BAD: Color = (84, 84, 246)
WARM: Color = (64, 190, 255)

SUBPIXEL_BITS = 4
"""Fractional bits of the coordinates from ``subpixel``."""
_EM_PX = 28.0  # at text size 1


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes that scale with the image: ``unit`` is 1 at 640x480."""

    width: int
    height: int
    unit: float

    @classmethod
    def of(cls, image: Image) -> "Scale":
        """Sizes for one image; on small images text stays legible instead of scaling down."""
        height, width = image.shape[:2]
        return cls(width, height, max(0.76, min(height / 480, width / 480)))

    def px(self, size: float) -> int:
        """Converts a length at 640x480 to pixels of this image; at least 1."""
        return max(1, round(size * self.unit))


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """First column after the box."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row after the box."""
        return self.y + self.height

    def overlaps(self, other: "Box") -> bool:
        """Whether the two have a pixel in common."""
        across = self.x < other.right and other.x < self.right
        return across and self.y < other.bottom and other.y < self.bottom

    def is_free(self, canvas: Image, taken: Sequence["Box"]) -> bool:
        """Whether it lies within an image and overlaps none of the other boxes."""
        inside = (
            self.x >= 0 and self.y >= 0 and self.right <= canvas.shape[1] and self.bottom <= canvas.shape[0]
        )
        return inside and not any(self.overlaps(other) for other in taken)


def subpixel(points: npt.NDArray[np.floating]) -> npt.NDArray[np.int32]:
    """Points in pixels as OpenCV's fixed-point coordinates with ``SUBPIXEL_BITS``."""
    return np.round(points * (1 << SUBPIXEL_BITS)).astype(np.int32)


@contextmanager
def translucent(
    canvas: Image, opacity: float, shapes: Sequence[npt.NDArray[np.int32]], edge_px: int = 0
) -> Iterator[Image]:
    """Yields an image to draw shapes on, and blends it with the canvas afterwards.

    Args:
        canvas: Image, drawn on in place.
        opacity: Opacity of the shapes.
        shapes: All shapes to be drawn, ``(n, 2)`` each, from ``subpixel``.
        edge_px: How far drawing extends beyond them.
    """
    corners = np.concatenate([*shapes, np.empty((0, 2), np.int32)])
    if not len(corners):
        yield canvas
        return
    above = canvas.copy()
    yield above
    left, top = np.maximum((corners.min(axis=0) >> SUBPIXEL_BITS) - edge_px - 1, 0)
    right, bottom = (corners.max(axis=0) >> SUBPIXEL_BITS) + edge_px + 2
    part = np.s_[top:bottom, left:right]
    if canvas[part].size:
        canvas[part] = cv2.addWeighted(above[part], opacity, canvas[part], 1 - opacity, 0)


def text_size(text: str, size: float, bold: bool = False) -> tuple[int, int]:
    """Width of a text and height of its capitals, in pixels."""
    em_px = size * _EM_PX
    return text_width(text, em_px, bold), round(CAPITAL_EM * em_px)


def fit_text(text: str, size: float, width_px: int, bold: bool = False) -> str:
    """The text, truncated with an ellipsis if it is wider than ``width_px``."""
    if text_size(text, size, bold)[0] <= width_px:
        return text
    while text and text_size(text + "…", size, bold)[0] > width_px:
        text = text[:-1]
    return text + "…" if text else ""


def put_text(
    canvas: Image, text: str, x: int, middle: int, size: float, color: Color, bold: bool = False
) -> None:
    """Draws text from column ``x``, its capitals centred on row ``middle``."""
    mask = text_mask(text, size * _EM_PX, bold)
    baseline = middle + (text_size(text, size, bold)[1] + 1) // 2
    left, top = x + mask.left, baseline - mask.baseline
    height, width = mask.cover.shape
    below, right = max(0, canvas.shape[0] - top), max(0, canvas.shape[1] - left)
    inside = np.s_[max(0, -top) : below, max(0, -left) : right]
    cover, rest = mask.cover[inside], mask.rest[inside]
    if cover.size:
        part = canvas[max(0, top) : top + height, max(0, left) : left + width]
        part[:] = cv2.blendLinear(part, _solid(cover.shape[1], cover.shape[0], color), rest, cover)


def fill_panel(canvas: Image, box: Box, radius: int, color: Color = PANEL, opacity: float = 0.8) -> None:
    """Draws a translucent rounded box; parts outside the image are clipped."""
    left, top = max(box.x, 0), max(box.y, 0)
    right, bottom = min(box.right, canvas.shape[1]), min(box.bottom, canvas.shape[0])
    if right <= left or bottom <= top:
        return
    below, above = _weights(right - left, bottom - top, radius, opacity)
    part = canvas[top:bottom, left:right]
    part[:] = cv2.blendLinear(part, _solid(right - left, bottom - top, color), below, above)


def paste(canvas: Image, picture: Image, x: int, y: int, radius: int) -> None:
    """Draws an image with rounded corners at a position; it must lie fully inside the canvas."""
    height, width = picture.shape[:2]
    below, above = _weights(width, height, radius, 1.0)
    part = canvas[y : y + height, x : x + width]
    part[:] = cv2.blendLinear(part, picture, below, above)


@lru_cache(maxsize=256)
def _solid(width: int, height: int, color: Color) -> Image:
    return np.full((height, width, 3), color, np.uint8)


@lru_cache(maxsize=64)
def _weights(
    width: int, height: int, radius: int, opacity: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Blending weights below and above a rounded rectangle with smooth corners."""
    radius = max(0, min(radius, width // 2, height // 2))
    mask = np.full((height, width), opacity, np.float32)
    if radius:
        disc = np.zeros((radius * 8, radius * 8), np.uint8)
        cv2.circle(disc, (radius * 4, radius * 4), radius * 4, 255, -1)
        corner = cv2.resize(disc, (radius * 2, radius * 2), interpolation=cv2.INTER_AREA) / 255 * opacity
        mask[:radius, :radius] = corner[:radius, :radius]
        mask[:radius, width - radius :] = corner[:radius, radius:]
        mask[height - radius :, :radius] = corner[radius:, :radius]
        mask[height - radius :, width - radius :] = corner[radius:, radius:]
    return 1 - mask, mask
