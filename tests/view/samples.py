"""Frames, predictions and figures for the tests of the views."""

import numpy as np

from pipeline.account.stats import WorkerStats
from pipeline.base.frame import Frame, FrameId, Image
from pipeline.base.moving_thing import Thing
from pipeline.wire.messages import AttentionHeader, PastFrame, Prediction

MS = 1_000_000


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
