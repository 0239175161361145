"""Error of measured speeds by height: ``python -m benchmarks.speed_by_size --clip vtest.avi --json FILE``.

Two references. Demo: the street of the demo tour before its camera turns, once per seed, which changes houses
and noise; tracked objects are compared with the walkers' scripted speeds. Clip: a recording of a fixed camera
(``vtest.avi`` is in the Debian package ``opencv-doc``); the mean speed of each object over two seconds is
compared with how far the middle of its box has moved. Both are processed at several input sizes.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from math import hypot
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.one_stream import Watching
from pipeline.base.moving_thing import Mover, Rectangle, Thing
from pipeline.runtime.base import Runtime
from pipeline.runtime.open_runtime import open_runtime
from pipeline.runtime.runtime_options import Options
from pipeline.video.demo import DemoSource
from pipeline.video.tour import FPS, TOUR

_FIXED = TOUR[0].segments[0].frames
"""Number of frames before the camera turns."""
_BOUNDS_PX = (12, 20, 30, 40, 60, 80)
"""Bounds between the classes of height, in pixels of the network's input."""
_WINDOW_S = 2.0
_LEAST_WAY = 0.03
"""Least distance that an object of the clip must move within ``_WINDOW_S``, in image widths."""
_LEAST_OVERLAP = 0.3
"""Least intersection over union at which an object is matched with a walker."""


def overlap(one: Rectangle, other: Rectangle) -> float:
    """Intersection over union of two boxes."""
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    tall = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(wide, 0.0) * max(tall, 0.0)
    return common / (one[2] * one[3] + other[2] * other[3] - common)


def speed_ratios(
    things: Sequence[Thing], movers: Sequence[Mover], aspect: float
) -> Iterator[tuple[float, float]]:
    """Height of each walker in image heights, and its measured speed divided by the true one.

    Walkers are the movers that are taller than wide; those that were not found are left out.

    Args:
        things: Tracked objects of a frame.
        movers: Ground truth of the same frame.
        aspect: Width of the frame divided by its height.
    """
    for mover in movers:
        if not mover.is_sure or mover.box[2] * aspect > mover.box[3]:
            continue
        best = max(things, key=lambda thing: overlap(thing.box, mover.box), default=None)
        if best is not None and overlap(best.box, mover.box) >= _LEAST_OVERLAP:
            yield mover.box[3], best.speed / mover.speed


def play_demo(runtime: Runtime, seed: int) -> Iterator[tuple[float, float]]:
    """Height in pixels of the network's input, and speed ratio, of each walker in each frame."""
    watching, source = Watching(runtime), DemoSource(seed)
    source.open()
    for number in range(_FIXED):
        picture = source.read()
        assert picture is not None
        assert picture.movers is not None
        height, width = picture.image.shape[:2]
        input_height_px, _ = runtime.size_of(height, width)
        seen = watching.see(picture.image, round(number * 1e9 / FPS))
        assert seen is not None
        things = [thing for thing in seen.scene.things or () if thing.was]
        for share, ratio in speed_ratios(things, picture.movers, width / height):
            yield share * input_height_px, ratio
    source.close()


def play_clip(runtime: Runtime, clip: Path) -> Iterator[tuple[float, float]]:
    """Height in pixels of the network's input, and speed ratio, of each object in each window."""
    watching, capture = Watching(runtime), cv2.VideoCapture(str(clip))
    fps = capture.get(cv2.CAP_PROP_FPS)
    tracks: dict[int, list[tuple[int, Thing]]] = defaultdict(list)
    aspect, input_height_px, number = 1.0, 0, 0
    while True:
        is_read, image = capture.read()
        if not is_read:
            break
        aspect = image.shape[1] / image.shape[0]
        input_height_px, _ = runtime.size_of(*image.shape[:2])
        seen = watching.see(np.asarray(image, np.uint8), round(number * 1e9 / fps))
        for thing in (seen.scene.things or ()) if seen else ():
            if thing.was:
                tracks[thing.id].append((number, thing))
        number += 1
    for track in tracks.values():
        for share, ratio in window_ratios(track, fps, aspect):
            yield share * input_height_px, ratio


def window_ratios(
    track: Sequence[tuple[int, Thing]], fps: float, aspect: float
) -> Iterator[tuple[float, float]]:
    """Median height in image heights, and mean speed divided by that of the box's middle, in each window.

    Args:
        track: Frame numbers and states of one object, in order; windows with missing frames are left out.
        fps: Frames per second.
        aspect: Width of the frame divided by its height.
    """
    length = round(_WINDOW_S * fps)
    for start in range(0, len(track) - length, length):
        window = track[start : start + length + 1]
        if window[-1][0] - window[0][0] != length:
            continue
        (x, y), (end_x, end_y) = (_middle(window[at][1].box) for at in (0, -1))
        way = hypot(end_x - x, (end_y - y) / aspect)
        if way >= _LEAST_WAY:
            heights = [thing.box[3] for _, thing in window]
            mean = float(np.mean([thing.speed for _, thing in window]))
            yield float(np.median(heights)), mean * _WINDOW_S / way


def _middle(box: Rectangle) -> tuple[float, float]:
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def by_height(found: Iterable[tuple[float, float]]) -> list[dict[str, Any]]:
    """Count and quantiles of the ratios, by class of height."""
    heights, ratios = np.array(list(found)).T
    classes = np.digitize(heights, _BOUNDS_PX)
    rows = []
    for number in np.unique(classes):
        mine = ratios[classes == number]
        low, middle, high = (round(float(one), 3) for one in np.quantile(mine, (0.1, 0.5, 0.9)))
        bounds = {"from_px": ([0, *_BOUNDS_PX])[number], "to_px": ([*_BOUNDS_PX, None])[number]}
        rows.append({**bounds, "count": len(mine), "p10": low, "median": middle, "p90": high})
        print(json.dumps(rows[-1]))
    return rows


def main() -> None:
    """Prints and stores the ratios by class of height."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 192, 256, 384])
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    demo, clip = list[tuple[float, float]](), list[tuple[float, float]]()
    for size in arguments.sizes:
        runtime = open_runtime("motion_resnet18", Options(longer_side_px=size, report=lambda line: None))
        clip += play_clip(runtime, arguments.clip)
        for seed in range(arguments.runs):
            demo += play_demo(runtime, seed)
    result = {
        "machine": describe_machine(),
        "clip_file": arguments.clip.name,
        "sizes_px": arguments.sizes,
        "runs": arguments.runs,
        "clip": by_height(clip),
        "demo": by_height(demo),
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
