"""Draws the overlay: frame and prediction in, image out. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Frame, FrameId, Image
from pipeline.base.moving_thing import Thing
from pipeline.scene.ground import GroundSpeed
from pipeline.scene.sentence import IN_PLACE, count_in_words, in_words
from pipeline.view.attention_maps import heat_maps, motion_field, unfold
from pipeline.view.attention_overlay import draw_motion_arrows
from pipeline.view.banner import draw_banner
from pipeline.view.camera_badge import draw_camera_badge
from pipeline.view.canvas import (
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
from pipeline.view.held_prediction import FRESH_MS, KEPT_MS, held_age_ms, move_to
from pipeline.view.label_bar import draw_label_bar
from pipeline.view.thing_labels import draw_speeds
from pipeline.view.things_overlay import draw_things
from pipeline.view.thumbnails import draw_thumbnails
from pipeline.view.watch_overlay import Watched, draw_watched, name_watched
from pipeline.wire.messages import Prediction

_SMALLEST_PX = 96  # smaller images have no room for panels

_NO_IMAGE: Image = np.empty((0, 0, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class StatusItem:
    """One entry of the status line; entries with a lower ``rank`` are kept longest if space is short.

    Attributes:
        text: The text.
        rank: Priority; 0 is the highest.
        color: Colour of the text.
        bold: Whether it is bold.
        short: Shorter text for when the full text does not fit.
    """

    text: str
    rank: int
    color: Color = MUTED
    bold: bool = False
    short: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything needed to draw an overlay later and at another size, except images.

    Attributes:
        frame: The frame; its image is not used.
        prediction: Its prediction; None if it has none.
        attention: The prediction's attention, laid out as in ``prediction.attention``.
        held: The last known prediction, shown if this frame has none: like its own while it is fresh, then
            dimmed with its age.
        watched: Zones and lines.
        ground_speeds: Metres per second by thing id; others have speeds in image widths per second.
        trouble: Fault of an image without prediction, shown instead of the labels.
        fps: Frames per second to show.
        latency_ms: Latency to show.
    """

    frame: Frame
    prediction: Prediction | None
    attention: npt.NDArray[np.float16] | None = None
    held: Prediction | None = None
    watched: Sequence[Watched] = ()
    ground_speeds: Mapping[int, GroundSpeed] | None = None
    trouble: str | None = None
    fps: float | None = None
    latency_ms: float | None = None

    @classmethod
    def of(
        cls,
        frame: Frame,
        prediction: Prediction | None,
        attention: npt.NDArray[np.float16] | None,
        **more: Any,
    ) -> "Shown":
        """Keeps what is needed to draw a frame; drops attention if the moving objects are known."""
        is_drawn = prediction is not None and prediction.things is None
        return cls(replace(frame, image=_NO_IMAGE), prediction, attention if is_drawn else None, **more)

    @property
    def past(self) -> list[FrameId]:
        """The past frames whose images ``draw_overlay`` needs."""
        prediction = self.drawn
        if prediction is None:
            return []
        stream_id, session = self.frame.id.stream_id, self.frame.id.session
        return [FrameId(stream_id, session, past.epoch, past.seq) for past in prediction.past]

    @property
    def drawn(self) -> Prediction | None:
        """The prediction whose motion is drawn: the frame's own, or the held one while it is recent."""
        if self.prediction is not None or self.held is None or self.trouble is not None:
            return self.prediction
        is_recent = self.held.things is not None and abs(held_age_ms(self.frame, self.held)) <= KEPT_MS
        return self.held if is_recent else None


def draw_overlay(shown: Shown, image: Image, past_images: list[Image | None]) -> Image:
    """Draws the model's results on a copy of the frame's image.

    Args:
        shown: What to draw.
        image: The image, of any size.
        past_images: Images of ``shown.past``, oldest first, of any size; None if no longer available.
            ``make_thumbnail`` makes copies that are cheap to keep.

    Returns:
        A new image of the same size.

    Raises:
        ValueError: The attention does not match the layout in the prediction.
    """
    canvas: Image = np.array(image, order="C")
    if min(canvas.shape[:2]) >= _SMALLEST_PX:
        paint_overlay(canvas, shown, past_images)
    return canvas


def paint_overlay(canvas: Image, shown: Shown, past_images: list[Image | None]) -> list[Box]:
    """Draws the overlay in place; returns the boxes of all panels."""
    scale, prediction, watched = Scale.of(canvas), shown.drawn, shown.watched
    things = _things_now(shown, scale.width / scale.height)
    draw_watched(canvas, watched)
    thumbnails = _draw_motion(canvas, shown, prediction, things, past_images) if prediction else None
    room = (thumbnails.x if thumbnails else scale.width) - 2 * scale.px(10)
    if shown.trouble is not None:
        labels = draw_banner(canvas, shown.trouble)
    else:
        labels = draw_label_bar(canvas, shown.frame, shown.prediction, held=shown.held, room_px=room)
    status = draw_status_line(canvas, _status(shown))
    panels = [labels, status, *([thumbnails] if thumbnails else [])]
    if prediction is not None and things is not None:
        top = status.bottom + scale.px(6)
        panels += _explain(canvas, prediction, things, panels, top, shown.ground_speeds or {})
    return [*panels, *name_watched(canvas, watched, panels)]


def _things_now(shown: Shown, aspect: float) -> list[Thing] | None:
    """The moving objects of the frame; those of a held prediction are moved to the frame's time."""
    if shown.prediction is not None:
        return shown.prediction.things
    held = shown.drawn
    return None if held is None else move_to(held, held_age_ms(shown.frame, held), aspect)


def _draw_motion(
    canvas: Image,
    shown: Shown,
    prediction: Prediction,
    things: list[Thing] | None,
    past_images: list[Image | None],
) -> Box | None:
    """Draws moving objects, and thumbnails of the past with the most certain one.

    Without dense motion, draws the motion measured by attention instead.

    Returns:
        The box of the thumbnails, if there are any.
    """
    layout, past = prediction.attention, prediction.past
    if things is not None:
        is_fresh = abs(held_age_ms(shown.frame, prediction)) <= FRESH_MS
        draw_things(canvas, things, tint=prediction is shown.prediction or is_fresh)
        slots = layout.past if layout else len(past)
        # Highest score first, but things that only move in place come last.
        known = sorted((thing for thing in things if thing.was), key=lambda thing: thing.speed < IN_PLACE)
        strongest = known[0] if known else None
        return draw_thumbnails(canvas, slots, past, past_images, thing=strongest) if slots else None
    if layout is None or shown.attention is None:
        return None
    weights = unfold(layout, shown.attention)
    if past:
        # the longer displacement, from t-2, is measured more accurately
        draw_motion_arrows(canvas, motion_field(weights, slot=-min(len(past), 2)))
    return draw_thumbnails(canvas, layout.past, past, past_images, heat=heat_maps(weights))


def _explain(
    canvas: Image,
    prediction: Prediction,
    things: list[Thing],
    panels: list[Box],
    top: int,
    ground_speeds: Mapping[int, GroundSpeed],
) -> list[Box]:
    """Draws the legend, the camera's motion and the speed of each thing, space permitting."""
    legend = draw_legend(canvas, top, panels)
    added = [legend] if legend else []
    if prediction.depth and prediction.camera is not None:
        badge = draw_camera_badge(canvas, prediction.camera, top, [*panels, *added])
        added += [badge] if badge else []
    return [*added, *draw_speeds(canvas, things, [*panels, *added], ground_speeds)]


def draw_status_line(canvas: Image, items: list[StatusItem]) -> Box:
    """Draws as many entries as fit in a bar in the upper left corner, in the given order.

    Args:
        canvas: Image, drawn on in place.
        items: Entries; those with the highest ``rank`` are dropped first.

    Returns:
        The box that was drawn.
    """
    scale = Scale.of(canvas)
    size, pad, gap, margin = 0.43 * scale.unit, scale.px(9), scale.px(13), scale.px(10)
    room = scale.width - 2 * (margin + pad)
    kept: list[StatusItem] = []
    for item in sorted(items, key=lambda item: item.rank):
        for version in (item, *([replace(item, text=item.short)] if item.short else [])):
            width = sum(text_size(one.text, size, one.bold)[0] + gap for one in [*kept, version]) - gap
            if width <= room or not kept:
                kept.append(version)
                break
    order = [item.rank for item in items]
    kept.sort(key=lambda item: order.index(item.rank))
    texts = [fit_text(item.text, size, room, item.bold) for item in kept]
    widths = [text_size(text, size, item.bold)[0] for text, item in zip(texts, kept, strict=True)]
    bar = Box(margin, margin, sum(widths) + gap * (len(kept) - 1) + 2 * pad, scale.px(25))
    fill_panel(canvas, bar, scale.px(9))
    x = bar.x + pad
    for text, width, item in zip(texts, widths, kept, strict=True):
        put_text(canvas, text, x, bar.y + bar.height // 2, size, item.color, item.bold)
        x += width + gap
    return bar


def _status(shown: Shown) -> list[StatusItem]:
    frame, prediction = shown.frame, shown.drawn
    items = [
        StatusItem(frame.id.stream_id, 0, WHITE, bold=True),
        StatusItem(f"epoch {frame.id.epoch}", 6),
        StatusItem(f"#{frame.id.seq}", 5),
    ]
    if shown.fps is not None:
        items.append(StatusItem(f"{shown.fps:.1f} fps", 2, WHITE))
    if shown.latency_ms is not None:
        items.append(StatusItem(f"{shown.latency_ms:.0f} ms", 3, WHITE))
    if prediction is not None and prediction.depth and prediction.things is not None:
        things = prediction.things
        items.append(StatusItem(in_words(things), 1, WHITE, short=count_in_words(things)))
    if prediction is not None and prediction is not shown.prediction:
        age = round(held_age_ms(frame, prediction))
        items.append(StatusItem(f"predicted {age} ms ago" if age > 0 else "predicted later", 4))
    elif prediction is not None:
        layout = prediction.attention
        depth = f"past {prediction.depth}" + (f"/{layout.past}" if layout else "")
        complete = layout is None or prediction.depth == layout.past
        items.append(StatusItem(depth, 4, MUTED if complete else WARM))
        if prediction.reset:
            items.append(StatusItem(f"reset: {prediction.reset}", 7, WARM))
    return items
