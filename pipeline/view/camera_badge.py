"""Draws the camera's motion as a small badge."""

from collections.abc import Sequence

from pipeline.base.camera_velocity import CameraMotion
from pipeline.base.frame import Image
from pipeline.scene.sentence import camera_in_words, camera_symbol
from pipeline.view.canvas import ACCENT, MUTED, WHITE, Box, Scale, fill_panel, fit_text, put_text, text_size


def draw_camera_badge(canvas: Image, camera: CameraMotion, top: int, taken: Sequence[Box]) -> Box | None:
    """Draws the camera's motion as a symbol and in words, at the left edge.

    Args:
        canvas: Image, drawn on in place.
        camera: Its motion.
        top: Top row of the badge.
        taken: Boxes to leave free; the text is truncated so that it ends before a box to its right.

    Returns:
        The box that was drawn; None if there is no room for it.
    """
    scale = Scale.of(canvas)
    size, pad, gap, margin, height = 0.4 * scale.unit, scale.px(8), scale.px(6), scale.px(10), scale.px(21)
    symbol, words = camera_symbol(camera), camera_in_words(camera)
    row = Box(margin, top, scale.width - 2 * margin, height)
    right = min((box.x - scale.px(6) for box in taken if box.overlaps(row)), default=row.right)
    left = margin + pad + text_size(symbol, size)[0] + gap
    fitted = fit_text(words, size, right - pad - left)
    box = Box(margin, top, left + text_size(fitted, size)[0] + pad - margin, height)
    if not fitted or not box.is_free(canvas, taken):
        return None
    fill_panel(canvas, box, scale.px(9))
    middle, is_still = box.y + height // 2, words == "camera still"
    put_text(canvas, symbol, box.x + pad, middle, size, MUTED if is_still else ACCENT, bold=True)
    put_text(canvas, fitted, left, middle, size, MUTED if is_still else WHITE)
    return box
