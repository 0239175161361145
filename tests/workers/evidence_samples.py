"""Frames with their predictions as the sink shows them, and events about them."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from pipeline.base.event import Event, rfc3339
from pipeline.base.frame import Frame, FrameId, Image
from pipeline.base.moving_thing import Thing
from pipeline.view.overlay import Shown
from pipeline.wire.messages import PastFrame
from tests.view.samples import picture, prediction, thing

SECOND = 10**9
START_NS = 1_790_000_000 * SECOND
FPS = 10


def wall_ns(seq: int) -> int:
    return START_NS + seq * SECOND // FPS


def moving(seq: int) -> Thing:
    """Goes to the right, a hundredth of the picture a frame."""
    x = 0.1 + 0.01 * (seq % 60)
    was = [(x - 0.01 * steps, 0.4, 0.1, 0.3) for steps in (2, 1)]
    return msgspec.structs.replace(thing((x, 0.4, 0.1, 0.3), 0.0), was=was)


def shown(seq: int, width: int = 320, *, stream_id: str = "door", **changes: Any) -> tuple[Image, Shown]:
    """Frame ``seq`` at ten a second; its brightness says which one it is."""
    image = picture(width, width * 3 // 4, (seq * 3) % 256)
    told = msgspec.structs.replace(
        prediction(),
        stream_id=stream_id,
        seq=seq,
        capture_ns=wall_ns(seq),
        past=[PastFrame(0, seq - back, 100.0 * back) for back in (2, 1) if seq >= back],
        things=[moving(seq)],
        attention=None,
    )
    frame = Frame(FrameId(stream_id, 1, 0, seq), image, capture_ns=wall_ns(seq))
    return image, replace(Shown.of(frame, told, None), **changes)


def event(seq: int, phase: str = "once", *, number: int = 1, **changes: Any) -> Event:
    """About the thing in frame ``seq``."""
    values = {
        "id": f"{number:016x}",
        "time": rfc3339(wall_ns(seq)),
        "stream_id": "door",
        "kind": "entered" if phase == "once" else "moving",
        "phase": phase,
        "zone": "yard",
        "thing": 1,
    }
    return Event(**values | changes)


def brightness(image: Image) -> int:
    """Number of the frame that a picture shows, as ``shown`` makes it, within one or two."""
    return round(float(np.asarray(image)[5:15, 5:15, 0].mean()) / 3)
