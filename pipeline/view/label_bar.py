"""Draws the top labels with probability bars and, if known, whether the best one is correct."""

import cv2
import numpy as np

from pipeline.base.frame import Frame, Image
from pipeline.view.canvas import (
    ACCENT,
    ACCENT_DEEP,
    BAD,
    FAINT,
    GOOD,
    MUTED,
    WHITE,
    Box,
    Color,
    Scale,
    fill_panel,
    fit_text,
    put_text,
    text_size,
)
from pipeline.view.held_prediction import FRESH_MS, held_age_ms
from pipeline.wire.messages import Prediction

_LEAST = 0.01  # hides rows of 0%; the best label is always shown


def draw_label_bar(
    canvas: Image,
    frame: Frame,
    prediction: Prediction | None,
    *,
    held: Prediction | None = None,
    room_px: int | None = None,
) -> Box:
    """Draws labels of 1 % and more with probability bars in the lower left corner.

    Args:
        canvas: Image, drawn on in place.
        frame: The frame; if its prediction is scored, the best label gets a tick or a cross.
        prediction: The frame's prediction; dimmed, with a note, if it had no past frame to compare with.
        held: Shown if the frame has no prediction; dimmed, with its age, unless it is fresh.
        room_px: Maximum width of the panel in pixels.

    Returns:
        The box that was drawn.
    """
    scale = Scale.of(canvas)
    shown = prediction or held
    row, pad, margin = scale.px(23), scale.px(8), scale.px(10)
    truth = frame.truth if prediction is not None and prediction.scored else None
    right = shown is not None and bool(shown.top) and truth == shown.top[0][0]
    is_old = prediction is None and not (held and abs(held_age_ms(frame, held)) <= FRESH_MS)
    has_past = shown is not None and shown.depth > 0
    notes = _notes(frame, prediction, held, None if right else truth) if is_old or prediction else []
    most_rows = max(1, (scale.height // 3 - 2 * pad) // row - len(notes))
    likely = (
        [entry for rank, entry in enumerate(shown.top) if rank == 0 or entry[1] >= _LEAST] if shown else []
    )
    top = likely[:most_rows]
    width = min(scale.px(232), room_px or scale.width - 2 * margin)
    height = row * (len(top) + len(notes)) + 2 * pad - scale.px(3)
    box = Box(margin, scale.height - height - margin, width, height)
    fill_panel(canvas, box, scale.px(9))
    inner = Box(box.x + pad, box.y + pad, width - 2 * pad, row - scale.px(3))
    for rank, (name, score) in enumerate(top):
        line = Box(inner.x, inner.y + rank * row, inner.width, inner.height)
        mark = None if truth is None or rank > 0 else right
        _label_row(canvas, line, name, score, scale, best=rank == 0, dim=is_old or not has_past, mark=mark)
    for number, (text, color) in enumerate(notes, start=len(top)):
        middle = inner.y + number * row + inner.height // 2
        fitted = fit_text(text, 0.4 * scale.unit, inner.width)
        put_text(canvas, fitted, inner.x + scale.px(2), middle, 0.4 * scale.unit, color)
    return box


def _notes(
    frame: Frame, prediction: Prediction | None, held: Prediction | None, missed: str | None
) -> list[tuple[str, Color]]:
    """Lines of text below the labels."""
    if prediction is None and held is None:
        return [("no prediction yet", MUTED)]
    if prediction is None and held is not None:
        return [(f"prediction from {held_age_ms(frame, held):.0f} ms ago", MUTED)]
    if prediction is not None and not prediction.depth:
        return [("no past frame to compare with", MUTED)]
    return [(f"truth: {missed}", BAD)] if missed is not None else []


def _label_row(
    canvas: Image,
    line: Box,
    name: str,
    score: float,
    scale: Scale,
    *,
    best: bool,
    dim: bool,
    mark: bool | None,
) -> None:
    size = 0.46 * scale.unit
    middle = line.y + line.height // 2
    fill_panel(canvas, line, scale.px(4), WHITE, 0.08)
    filled = round(line.width * score)
    if filled >= 1:
        bar = Box(line.x, line.y, max(filled, scale.px(4)), line.height)
        fill_panel(canvas, bar, scale.px(4), FAINT if dim or not best else ACCENT_DEEP, 0.55 if dim else 0.9)
        if best and not dim:
            edge = Box(line.x, line.y, scale.px(4), line.height)
            fill_panel(canvas, edge, scale.px(2), ACCENT, 1.0)
    percent = f"{score:.0%}"
    right = line.right - scale.px(6) - text_size(percent, size, best)[0]
    color = MUTED if dim or not best else WHITE
    put_text(canvas, percent, right, middle, size, color, best)
    if mark is not None:
        right -= scale.px(20)
        _draw_mark(canvas, right + scale.px(7), middle, scale, mark)
    left = line.x + scale.px(9)
    put_text(canvas, fit_text(name, size, right - left - scale.px(4), best), left, middle, size, color, best)


def _draw_mark(canvas: Image, x: int, y: int, scale: Scale, right: bool) -> None:
    """Draws a tick or a cross on a disc, sized to fill the disc."""
    r = scale.px(7)
    cv2.circle(canvas, (x, y), r, GOOD if right else BAD, -1, cv2.LINE_AA)
    a, width = r * 0.45, scale.px(2)
    tick = [[(-a, 0.05 * r), (-0.12 * r, a), (a * 1.1, -a)]]
    cross = [[(-a, -a), (a, a)], [(-a, a), (a, -a)]]
    lines = [
        np.array([(round((x + dx) * 16), round((y + dy) * 16)) for dx, dy in line], np.int32)
        for line in (tick if right else cross)
    ]
    cv2.polylines(canvas, lines, False, (24, 20, 16) if right else WHITE, width, cv2.LINE_AA, 4)
