"""Error of measured speeds by the height of a person: ``python -m benchmarks.speed_by_size --json FILE``.

The street of the demo tour is processed before its camera turns, once per input size of the network and per
seed, which changes houses and noise. Tracked objects are compared with the walkers' scripted speeds.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

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
"""Frames before the camera turns."""
_BOUNDS_PX = (30, 40, 60, 80, 120)
"""Bounds between the classes of height."""
_LEAST_OVERLAP = 0.3
"""Intersection over union from which an object and a walker are the same."""


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


def play(runtime: Runtime, seed: int) -> Iterator[tuple[float, float]]:
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


def main() -> None:
    """Prints and stores the ratios by class of height."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 160, 192, 256, 384])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = list[tuple[float, float]]()
    for size in arguments.sizes:
        runtime = open_runtime("motion_resnet18", Options(longer_side_px=size, report=lambda line: None))
        for seed in range(arguments.runs):
            found += play(runtime, seed)
    heights, ratios = np.array(found).T
    classes = np.digitize(heights, _BOUNDS_PX)
    results = []
    for number in np.unique(classes):
        mine = ratios[classes == number]
        low, middle, high = np.quantile(mine, (0.1, 0.5, 0.9))
        results.append(
            {
                "from_px": ([0, *_BOUNDS_PX])[number],
                "to_px": ([*_BOUNDS_PX, None])[number],
                "count": len(mine),
                "p10": round(float(low), 3),
                "median": round(float(middle), 3),
                "p90": round(float(high), 3),
            }
        )
        print(json.dumps(results[-1]))
    if arguments.json:
        about = {"machine": describe_machine(), "sizes_px": arguments.sizes, "runs": arguments.runs}
        arguments.json.write_text(json.dumps({**about, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
