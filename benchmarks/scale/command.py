"""``bench scale``: measures, prints a table, writes JSON and plots."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import describe_machine
from benchmarks.scale.memory_growth import FlatResult, run_long
from benchmarks.scale.plot import draw
from benchmarks.scale.timing import ScaleResult, measure
from pipeline.base.stage_lines import print_stage
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.runtime.cuda.cuda_engine import CudaEngine
from pipeline.runtime.open_torch import open_torch
from pipeline.runtime.runtime_options import Options

CPU_STREAMS = (1, 2, 4, 8, 16, 32, 64)
GPU_STREAMS = (*CPU_STREAMS, 128)


def bench(
    depth: int,
    streams: Sequence[int],
    device: str,
    precision: str,
    repeats: int,
    steps: int,
    json_file: Path | None,
    picture: Path | None,
) -> None:
    """Measures each number of streams, then the memory over many steps; prints the results.

    Raises:
        ValueError: The device or precision is not available.
    """
    torch.manual_seed(0)
    model = TemporalKVQResNetCBAM(depth=depth, d_model=512, num_classes=1000).eval()
    runtime = open_torch(model, Options(device=device, precision=precision, name=f"ResNet-{depth}"))
    about = runtime.describe()
    counts = streams or (GPU_STREAMS if isinstance(runtime.engine, CudaEngine) else CPU_STREAMS)
    title = f"ResNet-{depth} + CBAM, {about['backend']}, {about['device']}, {about['precision']}"
    print(title)
    print("ms per step: from 640x480 frames, from frames of the model's input size, with unchanged frames,\n"
          "GPU work only, compiled plain ResNet, plain ResNet with the kernels of our step")  # fmt: skip
    if about.get("kernels") == "torch":
        print("without Triton, the plain ResNet and our step are captured but not compiled")
    print(f"{'streams':>7} {'640x480':>8} {'own size':>8} {'same':>8} {'GPU':>8} {'plain':>8} {'bare':>8}"
          f" {'/ plain':>7} {'frames/s':>8} {'kB/stream':>9}")  # fmt: skip
    results = []
    for count in counts:
        print_stage(f"{count} streams")
        result = measure(runtime, model, count, repeats)
        results.append(result)
        times = (
            result.step_ms,
            result.square_ms,
            result.again_ms,
            result.device_ms,
            result.plain_ms,
            result.bare_ms,
        )
        cells = " ".join(f"{'-' if value is None else f'{value:.3f}':>8}" for value in times)
        print(f"{count:7d} {cells} {result.over_plain:8.2f} {result.frames_a_second:9.0f}"
              f" {result.remembered_kb:10.0f}", flush=True)  # fmt: skip
        if json_file is not None:  # after each, so that an interrupted run leaves results
            _write(json_file, about, depth, results, None)
    print_stage(f"memory: {steps} steps")
    flat = run_long(runtime, runtime.usual_size, 16 if 16 in counts else counts[-1], steps)
    gpu = (
        ""
        if flat.device_mb_first is None
        else f"; GPU {flat.device_mb_first} MiB, then {flat.device_mb_last}"
    )
    print(f"memory over {flat.steps} steps of {flat.streams} streams:"
          f" process {flat.rss_mb_first} MiB, then {flat.rss_mb_last}{gpu}")  # fmt: skip
    if json_file is not None:
        _write(json_file, about, depth, results, flat)
    if picture is not None:
        draw(results, title, picture)


def _write(
    path: Path, about: dict[str, Any], depth: int, results: Sequence[ScaleResult], flat: FlatResult | None
) -> None:
    document = {
        "machine": describe_machine(),
        "runtime": about,
        "depth": depth,
        "results": [asdict(result) for result in results],
        "memory": None if flat is None else asdict(flat),
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
