"""Draws a banner across a frame whose camera cannot see the scene."""

from pipeline.base.frame import Image
from pipeline.view.canvas import BAD, WHITE, Box, Scale, fill_panel, fit_text, put_text, text_size


def draw_banner(canvas: Image, text: str) -> Box:
    """Draws a text on a red bar across the middle of the image.

    Args:
        canvas: Image, drawn on in place.
        text: One line; truncated if the image is narrow.

    Returns:
        The box that was drawn.
    """
    scale = Scale.of(canvas)
    size, height = 0.8 * scale.unit, scale.px(54)
    bar = Box(0, (scale.height - height) // 2, scale.width, height)
    fill_panel(canvas, bar, 0, BAD, 0.85)
    fitted = fit_text(text, size, scale.width - 2 * scale.px(10), bold=True)
    left = (scale.width - text_size(fitted, size, bold=True)[0]) // 2
    put_text(canvas, fitted, left, scale.height // 2, size, WHITE, bold=True)
    return bar
