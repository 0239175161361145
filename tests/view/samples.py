"""Frames, predictions and figures for the tests of the views."""

import random
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.account.stats import ThingStats, WorkerStats
from pipeline.base.camera_velocity import CameraMotion
from pipeline.base.frame import Frame, FrameId, Image
from pipeline.base.moving_thing import Thing
from pipeline.view.overlay import Shown, draw_overlay
from pipeline.wire.messages import AttentionHeader, PastFrame, Prediction

MS = 1_000_000
CAMERA = CameraMotion(speed=0.0, direction_deg=0.0, zoom=0.0, roll_deg=0.0, shake=0.0)


def picture(width: int = 640, height: int = 480, value: int = 90) -> Image:
    image = np.full((height, width, 3), value, np.uint8)
    image[:, :, 1] = np.linspace(0, 120, width, dtype=np.uint8)
    return image


def frame(image: Image | None = None, seq: int = 7, truth: str | None = None) -> Frame:
    image = picture() if image is None else image
    return Frame(FrameId("door", 1, 0, seq), image, capture_ns=1_000 * MS, truth=truth)


def prediction(
    depth: int = 2, grid: int = 7, past: int = 2, capture_ns: int = 1_000 * MS, reset: str | None = None
) -> Prediction:
    return Prediction(
        stream_id="door",
        session=1,
        epoch=0,
        seq=7,
        capture_ns=capture_ns,
        top=[("pan_left", 0.75), ("static", 0.2), ("zoom_in", 0.05)],
        past=[PastFrame(0, 7 - back, 100.0 * back) for back in range(depth, 0, -1)],
        policy="newest",
        reset=reset,
        scored=True,
        attention=AttentionHeader(grid, grid, past, grid, grid),
        received_ns=0,
        started_ns=0,
        predicted_ns=0,
    )


def attention(
    dx: int = 0, dy: int = 0, grid: int = 7, past: int = 2, depth: int = 2
) -> np.ndarray[tuple[int, int], np.dtype[np.float16]]:
    """All weight of each place on where its content was, if it moves by (dx, dy) cells a frame."""
    weights = np.zeros((grid, grid, past, grid, grid), np.float16)
    for row in range(grid):
        for column in range(grid):
            for back in range(1, depth + 1):
                was = (np.clip(row - back * dy, 0, grid - 1), np.clip(column - back * dx, 0, grid - 1))
                weights[row, column, past - back][was] = 1 / depth
    return weights.reshape(grid * grid, past * grid * grid)


def thing(box: tuple[float, float, float, float], direction_deg: float, speed: float = 0.2) -> Thing:
    x, y, width, height = box
    outline = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    return Thing(
        id=1, box=box, outline=outline, speed=speed, direction_deg=direction_deg, age_ms=500.0, score=0.9
    )


def many_things(count: int, seed: int = 0) -> list[Thing]:
    """Things anywhere in the picture, each with a past."""
    rng = random.Random(seed)
    things = []
    for number in range(count):
        width, height = rng.uniform(0.03, 0.3), rng.uniform(0.03, 0.3)
        box = (rng.uniform(0, 1 - width), rng.uniform(0, 1 - height), width, height)
        trail = [(rng.random(), rng.random()) for _ in range(number)]
        one = thing(box, rng.uniform(0, 359), rng.uniform(0, 0.5))
        things.append(msgspec.structs.replace(one, id=number + 1, trail=trail, was=[box, box]))
    return things


def overlay_of(
    one: Frame,
    told: Prediction | None,
    weights: npt.NDArray[np.float16] | None = None,
    past: list[Image | None] | None = None,
    **more: Any,
) -> Image:
    """The overlay on a frame's own picture; without any pictures of the past, these are gone."""
    shown = Shown(one, told, weights, **more)
    return draw_overlay(shown, one.image, [None] * len(shown.past) if past is None else past)


def changed(before: Image, after: Image) -> npt.NDArray[np.bool_]:
    """Where two pictures differ visibly."""
    return np.abs(before.astype(int) - after).max(axis=2) > 4


def workers(streams: int, trouble: bool = True) -> list[WorkerStats]:
    """Figures as three workers send them after 900 frames of each stream."""
    names = [f"camera-{number}" for number in range(streams)]
    base = {"host": "box", "pid": 1, "state": "ready", "sent_ns": 10**10}
    capture = WorkerStats("capture", "capture", 1, cpu_percent=12.0, rss_mb=180.0, **base)
    inference = WorkerStats("inference", "inference", 2, cpu_percent=181.0, rss_mb=912.0, **base)
    sink = WorkerStats("sink", "sink", 3, cpu_percent=40.0, rss_mb=260.0, **base)
    for name in names:
        one = capture.stream(name)
        one.state, one.captured, one.sent, one.fps = "up", 900, 900, 30.0
        two = inference.stream(name)
        two.received = two.predicted = two.backbone_passes = 880
        two.labelled, two.correct, two.cache_depth, two.fps = 880, 792, 2, 29.0
        two.things = ThingStats(
            now="2 things moving: right 0.12 widths/s, left 0.05",
            seen=12,
            moved_ms={"left": 6200, "up-right": 3800},
            longest_ms=12_400.0,
            fastest=0.31,
            judged=400,
            movers=450,
            found=392,
        )
        two.things.direction_errors.record(4.0)
        two.depth = {"0": 1, "1": 1, "2": 878}
        three = sink.stream(name)
        three.rendered, three.fps = 900, 28.0
        if trouble:
            three.rendered = 890
            three.drop("sink.overflow", 7)
            three.drop("wire.lost", 3)
            two.resets = {"gap": 4}
            two.skip("inference.overflow", 10)
        for stage, owner, ms in (("wire", two, 1), ("step", two, 20), ("draw", three, 3)):
            owner.record(stage, ms * MS)
        two.record("capture_to_prediction", 25 * MS)
        three.record("capture_to_render", 33 * MS)
    return [capture, inference, sink]
