"""Exports events as JSON, CSV or COCO boxes."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from pipeline.base.errors import UserError
from pipeline.base.event import Event, unix_ns
from pipeline.base.moving_thing import Rectangle
from pipeline.events.archive import Archive
from pipeline.events.motion_log import DamagedChunkError, unpack
from pipeline.scene.rule_input import Look

Format: TypeAlias = Literal["json", "csv", "coco"]
Pixels: TypeAlias = tuple[int, int]

_NEAR_NS = 1_000_000_000
"""Largest time difference between an event and the log entry that gives its box."""


def format_of(file: Path, size: str | None) -> tuple[Format, Pixels]:
    """The format given by a file's name, and the image size; (0, 0) if ``size`` is None.

    Raises:
        UserError: Unknown format, or no image size for boxes in pixels.
    """
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", size or "")
    if size is not None and found is None:
        raise UserError(f"--size {size}: give it in pixels, such as 1920x1080")
    pixels = (int(found[1]), int(found[2])) if found else (0, 0)
    if file.name.endswith(".coco.json"):
        if found is None:
            raise UserError("COCO boxes are in pixels: give the image size, such as --size 1920x1080")
        return "coco", pixels
    match file.suffix:
        case ".json":
            return "json", pixels
        case ".csv":
            return "csv", pixels
    raise UserError(f"{file}: the name must end in .json, .csv or .coco.json")


def as_text(form: Format, events: Sequence[Event], archive: Archive, pixels: Pixels) -> str:
    """The events in this file format; boxes come from the motion log."""
    match form:
        case "json":
            return msgspec.json.format(msgspec.json.encode(events), indent=2).decode() + "\n"
        case "csv":
            return _csv(events)
        case "coco":
            return msgspec.json.format(msgspec.json.encode(_coco(events, archive, pixels))).decode() + "\n"


def _csv(events: Sequence[Event]) -> str:
    """The events as CSV with a column for each field; ``why`` is JSON."""
    text = io.StringIO()
    writer = csv.DictWriter(text, Event.__struct_fields__)
    writer.writeheader()
    for event in events:
        row = msgspec.to_builtins(event)
        writer.writerow(row | ({"why": msgspec.json.encode(event.why).decode()} if event.why else {}))
    return text.getvalue()


def _coco(events: Sequence[Event], archive: Archive, pixels: Pixels) -> dict[str, Any]:
    """The events as COCO: one image and box per event whose moving object is in the motion log.

    Categories are the kinds of events.
    """
    width, height = pixels
    kinds = sorted({event.kind for event in events})
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for event in events:
        box = _box(event, archive)
        if box is None:
            continue
        number = len(images) + 1
        left, top = box[0] * width, box[1] * height
        wide, high = min(box[2] * width, width - left), min(box[3] * height, height - top)
        images.append(
            {
                "id": number,
                "file_name": f"{event.stream_id}/{event.id}.jpg",
                "width": width,
                "height": height,
                "date_captured": event.time,
            }
        )
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": kinds.index(event.kind) + 1,
                "bbox": [round(edge, 1) for edge in (left, top, wide, high)],
                "area": round(wide * high, 1),
                "iscrowd": 0,
            }
        )
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": kind} for number, kind in enumerate(kinds, 1)],
    }


def _box(event: Event, archive: Archive) -> Rectangle | None:
    """Box of the event's moving object in the log entry nearest in time; None if there is none."""
    at_ns = unix_ns(event.time)
    found: list[tuple[int, Rectangle]] = []
    for chunk in archive.chunks_near(event.stream_id, at_ns, _NEAR_NS):
        try:
            parts = unpack(chunk.data)
        except DamagedChunkError:
            continue
        found += [
            (abs(look.now.wall_ns - at_ns), thing.box)
            for look in parts
            if isinstance(look, Look)
            for thing in look.things
            if thing.id == event.thing
        ]
    away_ns, box = min(found, default=(_NEAR_NS + 1, None))
    return box if away_ns <= _NEAR_NS else None
