"""The effect of ``inference.same_below`` on slow motion: ``python -m benchmarks.almost_equal --out FILE``.

Each clip of a known motion is processed frame by frame as in the inference worker: past frames are selected
by time, and unchanged frames are skipped. Speeds are multiples of those of the demo tour, which pans half a
frame width per second. Rows are appended to FILE, so speeds and noise levels can be measured in separate
runs; ``--show FILE`` prints a file as Markdown.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine
from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.base.frame import Image
from pipeline.flow.unchanged import KeptBytes, LastPicture
from pipeline.model.history import StreamHistory
from pipeline.runtime.base import Runtime
from pipeline.runtime.open_runtime import open_runtime
from pipeline.runtime.runtime_options import Options
from pipeline.runtime.step import Memory
from pipeline.video.demo import paint, render
from pipeline.video.pose import HEIGHT, WIDTH, Pose
from pipeline.video.scenes import SCENES
from pipeline.video.tour import FPS

SPEEDS = (0.05, 0.1, 0.2, 0.4, 1.0)
THRESHOLDS = (0.0, 1.0, 2.0, 4.0, 8.0)
NOISES = (1.0, 3.0)
_FRAMES, _SCORED_FROM = 50, 7  # frames of a clip; the first scored one has two past frames
_SPACING_MS = 100.0
_CANVAS_MIDDLE = 720.0, 540.0


@dataclass(frozen=True)
class Share:
    """Result for one speed, noise level and threshold.

    Attributes:
        speed: Speed factor; 0 for a static camera, with the label ``static``.
        noise: Noise of each pixel and frame, standard deviation in grey levels.
        same_below: The threshold.
        scored: Number of scored predictions.
        reused: Share of the predictions that reuse the result of an earlier frame.
        accuracy: Share of the predictions that have the correct label.
    """

    speed: float
    noise: float
    same_below: float
    scored: int
    reused: float
    accuracy: float


def film(scene: str, motion: str, speed: float, noise: float) -> Iterator[Image]:
    """Frames ``(480, 640, 3)`` at the tour's frame rate; the tour uses another rendering of the scene."""
    rng = np.random.default_rng(77)
    canvas = paint(scene, 1000)
    sheet = rng.normal(0, noise, (HEIGHT + 128, WIDTH + 128, 3)).round().astype(np.int16)
    pose = Pose(*_CANVAS_MIDDLE, 1.5 if motion == "zoom_out" else 1.0)
    for _ in range(_FRAMES):
        pose = pose.moved(motion, speed / FPS)
        top, left = rng.integers(0, 128, 2)
        grains = sheet[top : top + HEIGHT, left : left + WIDTH]
        yield np.clip(render(canvas, pose) + grains, 0, 255).astype(np.uint8)


def play(
    runtime: Runtime, images: list[Image], news: list[Memory], same_below: float
) -> tuple[list[str], list[bool]]:
    """The predicted label of each frame, and whether the result of an earlier frame was reused.

    Args:
        runtime: The runtime.
        images: Frames in order.
        news: The cache entry of each frame, computed in advance, so that no second backbone pass is needed.
        same_below: The threshold.
    """
    history, last = (
        StreamHistory[int](runtime.num_past, _SPACING_MS),
        LastPicture[Memory](KeptBytes(2**30), same_below),
    )
    answers, reused = [], []
    for number, (image, new) in enumerate(zip(images, news, strict=True)):
        time_ns = round((number + 1) * 1e9 / FPS)
        before = last.find(image)
        slots: list[Any] = [slot and slot.entry for slot in history.select(time_ns)]
        step = runtime.infer([image], [slots], known=[before or new])
        history.append(number, time_ns, step.remember()[0].entry)
        if before is None:
            last.keep(image, new)
        answers.append(runtime.labels[int(step.results[0].probabilities.argmax())])
        reused.append(before is not None)
    return answers, reused


def measure(runtime: Runtime, speed: float, noise: float) -> list[Share]:
    """Results for all thresholds, over all scenes and motions; at speed 0, only the static camera."""
    motions = [motion for motion in CAMERA_MOTIONS if (motion == "static") == (speed == 0)]
    right, again = (np.zeros((len(THRESHOLDS), 0), bool) for _ in range(2))
    for scene in SCENES:
        for motion in motions:
            images = list(film(scene, motion, speed, noise))
            news = []
            for image in images:
                news += runtime.infer([image], [[None] * runtime.num_past]).remember()
            played = [play(runtime, images, news, same_below) for same_below in THRESHOLDS]
            found = [[answer == motion for answer in answers[_SCORED_FROM:]] for answers, _ in played]
            right = np.concatenate([right, np.array(found)], axis=1)
            again = np.concatenate([again, np.array([flags[_SCORED_FROM:] for _, flags in played])], axis=1)
    return [
        Share(speed, noise, same_below, right.shape[1], round(float(b.mean()), 4), round(float(a.mean()), 4))
        for same_below, a, b in zip(THRESHOLDS, right, again, strict=True)
    ]


def markdown(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as Markdown: accuracy and, in brackets, the reused share."""
    shares = {(row["noise"], row["speed"], row["same_below"]): row for row in rows}
    lines = [f"| noise | speed | {' | '.join(f'{threshold:g}' for threshold in THRESHOLDS)} |"]
    lines.append("|---|---|" + "---|" * len(THRESHOLDS))
    for noise, speed in sorted({key[:2] for key in shares}):
        found = [shares[noise, speed, threshold] for threshold in THRESHOLDS]
        cells = [f"{row['accuracy']:.2f} ({row['reused']:.0%})" for row in found]
        lines.append(f"| {noise:g} | {f'{speed:g}x' if speed else 'still'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def show(path: Path) -> None:
    """Prints the rows of a file as Markdown."""
    print(markdown(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()))


def main() -> None:
    """Runs the measurements, or prints stored results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed", type=float, action="append", help="speed factor, repeatable; 0 = static")
    parser.add_argument("--noise", type=float, action="append", help="in grey levels, repeatable")
    parser.add_argument("--checkpoint", default="motion_resnet18")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--show", type=Path)
    given = parser.parse_args()
    if given.show:
        show(given.show)
        return
    runtime = open_runtime(given.checkpoint, Options(device="cpu"))
    about = {"checkpoint": given.checkpoint, "runtime": runtime.describe(), "machine": describe_machine()}
    for speed in given.speed or (0.0, *SPEEDS):
        for noise in given.noise or NOISES:
            for share in measure(runtime, speed, noise):
                print(share, flush=True)
                if given.out:
                    with given.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(share) | about) + "\n")


if __name__ == "__main__":
    main()
