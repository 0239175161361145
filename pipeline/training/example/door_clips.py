"""Renders a small example data set: ``python -m pipeline.training.example.door_clips DIR``.

A fixed camera films doors that open or close. A single frame does not reveal which: each door is filmed
opening and closing over the same range, each time with its own frame rate, speed, light and passers-by. The
doors in ``val`` are in no training clip.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from pipeline.base.frame import Image
from pipeline.training.example.door_scene import Scene, new_scene

LABELS = ("closing", "opening")
WIDTH_PX, HEIGHT_PX = 320, 240
DRAWN_AT = 2
_RATES = (15, 20, 25, 30)


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m pipeline.training.example.door_clips``; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.training.example.door_clips", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("folder", type=Path, help="output folder")
    parser.add_argument("--clips", type=int, default=40, help="clips for each class")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    try:
        write_clips(given.folder, given.clips, given.seed)
    except (ValueError, OSError) as error:
        print(f"door_clips: {error}", file=sys.stderr)
        return 2
    print(f"{given.clips} clips each of {' and '.join(LABELS)} in {given.folder}, a quarter of them in val")
    return 0


def write_clips(folder: Path, clips: int, seed: int = 0) -> None:
    """Renders clips into the folders ``train`` and ``val``, each with one subfolder per class.

    Args:
        folder: Output folder; created if missing, and must be empty.
        clips: Clips for each class; a quarter goes to ``val``.
        seed: Random seed.

    Raises:
        ValueError: Fewer than 2 clips, or the folder is not empty.
        OSError: The folder can't be written.
    """
    if clips < 2:
        raise ValueError(f"--clips must be at least 2, not {clips}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not an empty folder: choose another one")
    kept = max(clips // 4, 1)
    for number, label in enumerate(LABELS):
        for clip in range(clips):
            rng = np.random.default_rng((seed, number, clip))
            scene = new_scene(np.random.default_rng((seed, clip)), WIDTH_PX * DRAWN_AT, HEIGHT_PX * DRAWN_AT)
            path = folder / ("val" if clip < kept else "train") / label / f"{clip:03d}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            fps = int(rng.choice(_RATES))
            _write(path, fps, render_clip(label, scene, rng, fps))


def render_clip(label: str, scene: Scene, rng: np.random.Generator, fps: int) -> Iterator[Image]:
    """The frames of one clip, ``(HEIGHT_PX, WIDTH_PX, 3)`` uint8 BGR.

    Args:
        label: One of ``LABELS``.
        scene: The door, at ``DRAWN_AT`` times the output size.
        rng: Random generator for everything else.
        fps: Frames per second.

    The range of the motion has the same distribution in both classes, and the pace is symmetric in time, so
    that no pose is more likely in one class.
    """
    height, width = scene.wall.shape[:2]
    shut, wide = rng.uniform(0.02, 0.25), rng.uniform(0.75, 0.98)
    start, end = (shut, wide) if label == "opening" else (wide, shut)
    speed_px = rng.uniform(0.2, 0.45) * width
    count = max(round((wide - shut) * scene.travel_px / speed_px * fps), fps // 2) + 1
    softness = rng.uniform(0, 0.5)
    bustle = _Passer(rng, width, height, count / fps) if rng.random() < 0.3 else None
    gain, tint = rng.uniform(0.6, 1.15), rng.uniform(0.92, 1.08, 3)
    grain = rng.uniform(1, 7)
    for number in range(count):
        part = number / (count - 1)
        part += softness * (part * part * (3 - 2 * part) - part)
        picture = scene.draw(start + (end - start) * part)
        if bustle is not None:
            bustle.draw(picture, number / fps)
        small = cv2.resize(picture, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)
        light = gain * tint * (1 + 0.01 * rng.standard_normal())
        lit = small * light + grain * rng.standard_normal(small.shape)
        yield np.asarray(np.clip(lit, 0, 255), np.uint8)


class _Passer:
    """A person walking through the frame."""

    def __init__(self, rng: np.random.Generator, width: int, height: int, seconds: float) -> None:
        self._size = height * rng.uniform(0.25, 0.4)
        self._feet = height * rng.uniform(0.9, 1.02)
        self._start = rng.uniform(0, width)
        self._speed = rng.choice((-1, 1)) * rng.uniform(0.1, 0.4) * width
        self._start -= self._speed * seconds / 2
        self._coat, self._skin = (tuple(rng.integers(20, 200, 3).tolist()) for _ in range(2))

    def draw(self, picture: Image, time_s: float) -> None:
        size, x = self._size, self._start + self._speed * time_s
        swing = 0.12 * size * np.sin(time_s * 9)
        for side in (-1, 1):
            foot = (round(x + side * swing), round(self._feet))
            hip = (round(x), round(self._feet - 0.45 * size))
            cv2.line(picture, hip, foot, (40, 35, 35), round(0.1 * size), cv2.LINE_AA)
        middle = (round(x), round(self._feet - 0.6 * size))
        cv2.ellipse(picture, middle, (round(0.16 * size), round(0.25 * size)), 0, 0, 360, self._coat, -1)
        head = (round(x), round(self._feet - 0.92 * size))
        cv2.circle(picture, head, round(0.1 * size), self._skin, -1, cv2.LINE_AA)


def _write(path: Path, fps: int, frames: Iterator[Image]) -> None:
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        stream.time_base = Fraction(1, fps)
        stream.options = {"crf": "23", "preset": "veryfast"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    raise SystemExit(main())
