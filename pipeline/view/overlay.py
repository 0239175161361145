"""The overlay: frame and prediction in, picture out. Nothing here keeps state or alters its input."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Frame, Image
from pipeline.scene.sentence import in_words
from pipeline.view.attention_maps import heat_maps, motion_field, unfold
from pipeline.view.attention_overlay import draw_attention_thumbnails, draw_motion_arrows
from pipeline.view.canvas import (
    ACCENT,
    ACCENT_DEEP,
    BAD,
    FAINT,
    GOOD,
    MUTED,
    WARM,
    WHITE,
    Box,
    Color,
    Scale,
    fill_panel,
    fit_text,
    put_text,
    text_size,
)
from pipeline.view.direction_wheel import draw_legend
from pipeline.view.thing_labels import draw_speeds
from pipeline.view.things_overlay import draw_things
from pipeline.wire.messages import Prediction

_SMALLEST_PX = 96  # pictures smaller than this have no room for panels


@dataclass(frozen=True, slots=True)
class StatusItem:
    """One entry of the status line; entries with a lower ``rank`` survive longest when room is short."""

    text: str
    rank: int
    color: Color = MUTED
    bold: bool = False


def draw_overlay(
    frame: Frame,
    prediction: Prediction | None,
    attention: npt.NDArray[np.float16] | None,
    past_images: list[Image | None],
    *,
    held: Prediction | None = None,
    fps: float | None = None,
    latency_ms: float | None = None,
) -> Image:
    """Draws the model's results on a copy of the frame's picture.

    Args:
        frame: The frame.
        prediction: Its prediction; None if it has none.
        attention: The prediction's attention, laid out as in ``prediction.attention``.
        past_images: Pictures of ``prediction.past``, oldest first, of any size; None where one is gone.
            ``make_thumbnail`` makes copies that are cheap to keep.
        held: The last known prediction, shown dimmed with its age when this frame has none.
        fps: Frames a second to show.
        latency_ms: Latency to show.

    Returns:
        A new picture of the frame's size.

    Raises:
        ValueError: The attention does not have the layout that the prediction announces.
    """
    canvas: Image = np.array(frame.image, order="C")
    scale = Scale.of(canvas)
    if min(scale.width, scale.height) < _SMALLEST_PX:
        return canvas
    if prediction is not None and prediction.things:
        draw_things(canvas, prediction.things)
    thumbnails = None
    if prediction is not None and prediction.attention is not None and attention is not None:
        weights = unfold(prediction.attention, attention)
        if prediction.past and prediction.things is None:
            # the longer way, from t-2, is the better measured one
            draw_motion_arrows(canvas, motion_field(weights, slot=-min(len(prediction.past), 2)))
        thumbnails = draw_attention_thumbnails(canvas, heat_maps(weights), prediction.past, past_images)
    room = (thumbnails.x if thumbnails else scale.width) - 2 * scale.px(10)
    labels = draw_label_bar(canvas, frame, prediction, held=held, room_px=room)
    status = draw_status_line(canvas, _status(frame, prediction, fps, latency_ms))
    if prediction is not None and prediction.things is not None:
        legend = draw_legend(canvas, status.bottom + scale.px(6))
        panels = [box for box in (status, legend, labels, thumbnails) if box is not None]
        draw_speeds(canvas, prediction.things, panels)
    return canvas


def draw_label_bar(
    canvas: Image,
    frame: Frame,
    prediction: Prediction | None,
    *,
    held: Prediction | None = None,
    room_px: int | None = None,
) -> Box:
    """Draws the best labels with bars for their probabilities in the lower left corner.

    Args:
        canvas: Picture, painted on in place.
        frame: The frame; where its prediction is scored, the best label gets a tick or a cross.
        prediction: The frame's prediction.
        held: Shown dimmed with its age where the frame has no prediction.
        room_px: Most pixels that the panel may be wide.

    Returns:
        The box that was painted over.
    """
    scale = Scale.of(canvas)
    shown = prediction or held
    row, pad, margin = scale.px(23), scale.px(8), scale.px(10)
    truth = frame.truth if prediction is not None and prediction.scored else None
    right = shown is not None and bool(shown.top) and truth == shown.top[0][0]
    notes = _notes(frame, prediction, held, None if right else truth)
    most_rows = max(1, (scale.height // 3 - 2 * pad) // row - len(notes))
    top = shown.top[:most_rows] if shown is not None else []
    width = min(scale.px(232), room_px or scale.width - 2 * margin)
    height = row * (len(top) + len(notes)) + 2 * pad - scale.px(3)
    box = Box(margin, scale.height - height - margin, width, height)
    fill_panel(canvas, box, scale.px(9))
    inner = Box(box.x + pad, box.y + pad, width - 2 * pad, row - scale.px(3))
    for rank, (name, score) in enumerate(top):
        line = Box(inner.x, inner.y + rank * row, inner.width, inner.height)
        mark = None if truth is None or rank > 0 else right
        _label_row(canvas, line, name, score, scale, best=rank == 0, dim=prediction is None, mark=mark)
    for number, (text, color) in enumerate(notes, start=len(top)):
        middle = inner.y + number * row + inner.height // 2
        fitted = fit_text(text, 0.4 * scale.unit, inner.width)
        put_text(canvas, fitted, inner.x + scale.px(2), middle, 0.4 * scale.unit, color)
    return box


def draw_status_line(canvas: Image, items: list[StatusItem]) -> Box:
    """Draws the entries that fit in a bar in the upper left corner, in the order given.

    Args:
        canvas: Picture, painted on in place.
        items: Entries; where room is short those with the highest ``rank`` are left out.

    Returns:
        The box that was painted over.
    """
    scale = Scale.of(canvas)
    size, pad, gap, margin = 0.43 * scale.unit, scale.px(9), scale.px(13), scale.px(10)
    room = scale.width - 2 * (margin + pad)
    kept: list[StatusItem] = []
    for item in sorted(items, key=lambda item: item.rank):
        width = sum(text_size(one.text, size, one.bold)[0] + gap for one in [*kept, item]) - gap
        if width <= room or not kept:
            kept.append(item)
    kept.sort(key=items.index)
    texts = [fit_text(item.text, size, room, item.bold) for item in kept]
    widths = [text_size(text, size, item.bold)[0] for text, item in zip(texts, kept, strict=True)]
    bar = Box(margin, margin, sum(widths) + gap * (len(kept) - 1) + 2 * pad, scale.px(25))
    fill_panel(canvas, bar, scale.px(9))
    x = bar.x + pad
    for text, width, item in zip(texts, widths, kept, strict=True):
        put_text(canvas, text, x, bar.y + bar.height // 2, size, item.color, item.bold)
        x += width + gap
    return bar


def _status(
    frame: Frame,
    prediction: Prediction | None,
    fps: float | None,
    latency_ms: float | None,
) -> list[StatusItem]:
    items = [
        StatusItem(frame.id.stream_id, 0, WHITE, bold=True),
        StatusItem(f"epoch {frame.id.epoch}", 5),
        StatusItem(f"#{frame.id.seq}", 4),
    ]
    if fps is not None:
        items.append(StatusItem(f"{fps:.1f} fps", 1, WHITE))
    if latency_ms is not None:
        items.append(StatusItem(f"{latency_ms:.0f} ms", 2, WHITE))
    if prediction is not None and prediction.things is not None:
        items.append(StatusItem(in_words(prediction.things), 1, WHITE))
    if prediction is not None:
        layout = prediction.attention
        depth = f"past {prediction.depth}" + (f"/{layout.past}" if layout else "")
        complete = layout is None or prediction.depth == layout.past
        items.append(StatusItem(depth, 3, MUTED if complete else WARM))
        if prediction.reset:
            items.append(StatusItem(f"reset: {prediction.reset}", 6, WARM))
    return items


def _notes(
    frame: Frame, prediction: Prediction | None, held: Prediction | None, missed: str | None
) -> list[tuple[str, Color]]:
    """Lines of text below the labels."""
    if prediction is None and held is None:
        return [("no prediction yet", MUTED)]
    if prediction is None and held is not None:
        return [(f"prediction of {(frame.capture_ns - held.capture_ns) / 1e6:.0f} ms ago", MUTED)]
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
    """A tick or a cross on a disc; drawn, as it has to fill the disc at every size."""
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
