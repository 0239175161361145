"""Time saved by resizing in bands with two threads: ``python -m benchmarks.bands --json FILE``.

Uses OpenVINO in float32. One runtime alternates between one and two threads for resizing, with network
passes in between, so that the time to wake a thread is included. A loop that only resizes would hide it.
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch

from benchmarks.machine import describe_machine
from benchmarks.step_time import Turn, median, take_turns
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.runtime.base import Runtime
from pipeline.runtime.exported.exported_engine import ExportedEngine
from pipeline.runtime.exported.open_openvino import open_openvino
from pipeline.runtime.runtime_options import Options
from pipeline.runtime.step import Image
from pipeline.runtime.threaded_stretch import Stretcher

_SIZES = ((720, 1280), (1080, 1920), (2160, 3840))
_THREADS = (1, 2)
_SIZE_PX = 224
_ROUNDS = 60


def _resize(stretch: Stretcher, image: Image) -> None:
    stretch([image])


def _step(runtime: Runtime, stretch: Stretcher, image: Image) -> None:
    cast(ExportedEngine, runtime.engine).stretch = stretch
    runtime.infer([image], [[None] * runtime.num_past]).remember()


def main() -> None:
    """Prints a Markdown table and stores the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = []
    torch.manual_seed(0)
    cv2.setNumThreads(1)
    model = TemporalKVQResNetCBAM(depth=50, num_classes=1000, image_size=_SIZE_PX).eval()
    runtime, rng = open_openvino(model, Options(threads=max(_THREADS))), np.random.default_rng(0)
    torch.set_num_threads(1)  # as in an inference worker
    stretchers = [Stretcher((_SIZE_PX, _SIZE_PX), threads) for threads in _THREADS]
    print("| ms, ResNet-50 | resize | resize in bands | step | step with bands |\n|---|---|---|---|---|")
    for rows, columns in _SIZES:
        image = rng.integers(0, 256, (rows, columns, 3), np.uint8)
        alone: list[Turn] = [partial(_resize, stretch, image) for stretch in stretchers]
        steps: list[Turn] = [partial(_step, runtime, stretch, image) for stretch in stretchers]
        medians = [median(times) for turns in (alone, steps) for times in take_turns(turns, _ROUNDS)]
        print(f"| {columns}x{rows} | " + " | ".join(f"{one:.2f}" for one in medians) + " |")
        names = "resize_ms", "resize_in_bands_ms", "step_ms", "step_in_bands_ms"
        times = {name: round(one, 3) for name, one in zip(names, medians, strict=True)}
        found.append({"width": columns, "height": rows, **times})
    if options.json:
        result = {"machine": describe_machine(), "depth": 50, "size_px": _SIZE_PX, "results": found}
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
