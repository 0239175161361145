"""The cost of evidence for each frame: ``python -m benchmarks.evidence_cost CLIP --json FILE``.

Frames of the clip are drawn at 25 fps as in the sink, with two objects in each: without evidence, with
evidence enabled but no event, and with a clip being written all the time. ``take`` is the time that the
sink's thread spends on evidence; ``draw`` is the time to draw the overlay while the evidence thread runs;
``cpu`` is that of the whole process, including drawing.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.machine import describe_machine
from pipeline.base.clock import now_ns
from pipeline.base.config import load_config
from pipeline.base.event import Event, event_id, rfc3339
from pipeline.base.frame import Frame, FrameId, Image
from pipeline.base.moving_thing import Thing
from pipeline.events.evidence_shelf import EvidenceShelf
from pipeline.view.overlay import Shown, draw_overlay
from pipeline.view.thumbnails import make_thumbnail
from pipeline.wire.messages import PastFrame, Prediction
from workers.evidence_writer import EvidenceWriter

_FPS = 25
_EVERY = {"none": 0, "no event": 0, "one clip always": 8 * _FPS}


@dataclass(frozen=True)
class Row:
    """Milliseconds per frame under one load.

    Attributes:
        evidence: The load.
        size: Width and height.
        take_p50: Median time to pass a frame to the evidence writer, in the sink's thread.
        take_p99: 99th percentile of this time.
        draw_p50: Median time to draw the overlay, in the same thread.
        draw_p95: 95th percentile of this time.
        cpu: CPU time of the whole process.
        missed: Frames dropped because the queue was full.
    """

    evidence: str
    size: str
    take_p50: float
    take_p99: float
    draw_p50: float
    draw_p95: float
    cpu: float
    missed: int


def read(clip: Path, size: tuple[int, int], count: int) -> list[Image]:
    """The first frames of a clip, resized."""
    with av.open(str(clip)) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in islice(container.decode(video=0), count)]
    return [np.asarray(cv2.resize(frame, size), np.uint8) for frame in frames]


def measure(evidence: str, images: Sequence[Image], seconds: float) -> Row:
    """Runs one load for ``seconds`` in real time."""
    settings = load_config().evidence
    takes, draws = [], []
    thumbnails = [make_thumbnail(image) for image in images]
    with tempfile.TemporaryDirectory() as folder:
        shelf = EvidenceShelf(Path(folder) / "evidence", settings.keep_days, settings.max_mb)
        with EvidenceWriter(shelf, settings) as writer:
            begin_s, cpu_s = time.monotonic(), time.process_time()
            for seq in range(round(seconds * _FPS)):
                time.sleep(max(0.0, begin_s + seq / _FPS - time.monotonic()))
                image, shown = images[seq % len(images)], _shown(seq, now_ns())
                start_s = time.perf_counter()
                draw_overlay(shown, image, [thumbnails[(seq - back) % len(images)] for back in (4, 2)])
                drawn_s = time.perf_counter()
                if evidence != "none":
                    writer.see(image, shown)
                takes.append(time.perf_counter() - drawn_s)
                draws.append(drawn_s - start_s)
                if (every := _EVERY[evidence]) and seq % every == _FPS:
                    writer.tell(_event(shown.frame.capture_ns), shown.frame.capture_ns)
            cpu_ms = (time.process_time() - cpu_s) / len(draws) * 1e3
            missed = writer.missed
    take_ms, draw_ms = np.array(takes) * 1e3, np.array(draws) * 1e3
    return Row(
        evidence=evidence,
        size=f"{images[0].shape[1]}x{images[0].shape[0]}",
        take_p50=_percentile(take_ms, 50),
        take_p99=_percentile(take_ms, 99),
        draw_p50=_percentile(draw_ms, 50),
        draw_p95=_percentile(draw_ms, 95),
        cpu=round(cpu_ms, 2),
        missed=missed,
    )


def _percentile(values: npt.NDArray[np.float64], at: float) -> float:
    return round(float(np.percentile(values, at)), 3)


def _shown(seq: int, capture_ns: int) -> Shown:
    things = [_thing(number, (seq % 100) / 200 + number * 0.2) for number in (1, 2)]
    prediction = Prediction(
        stream_id="clip", session=1, epoch=0, seq=seq, capture_ns=capture_ns, top=[("static", 0.9)],
        past=[PastFrame(0, seq - back, back * 40.0) for back in (4, 2) if seq >= back],
        policy="newest", things=things, received_ns=1, started_ns=2, predicted_ns=3,
    )  # fmt: skip
    return Shown.of(
        Frame(FrameId("clip", 1, 0, seq), np.empty((0, 0, 3), np.uint8), capture_ns),
        prediction,
        None,
        fps=25.0,
    )


def _thing(number: int, x: float) -> Thing:
    box = (x, 0.4, 0.1, 0.3)
    outline = [(x, 0.4), (x + 0.1, 0.4), (x + 0.1, 0.7), (x, 0.7)]
    was = [(max(0.0, x - 0.005 * back), 0.4, 0.1, 0.3) for back in (4, 2)]
    return Thing(
        id=number, box=box, outline=outline, speed=0.1, direction_deg=0, age_ms=900, score=0.9, was=was
    )


def _event(at_ns: int) -> Event:
    return Event(
        id=event_id(at_ns), time=rfc3339(at_ns), stream_id="clip", kind="entered", phase="once", thing=1
    )


def main() -> None:
    """Measures all loads and prints a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--size", default="768x576")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    images = read(options.clip, (width, height), 100)
    rows = [measure(evidence, images, options.seconds) for _ in range(options.rounds) for evidence in _EVERY]
    for row in rows:
        print(row)
    if options.json:
        table = {"machine": describe_machine(), "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
