"""Many streams in one batch: time and memory by the number of streams, with a plain ResNet as the floor.

Also ``python -m benchmarks.scale``, for machines that have torch, torchvision and OpenCV only.
"""

import argparse
import gc
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision

from benchmarks.machine import describe_machine
from benchmarks.progress import tell
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.runtime.base import Memory, Runtime, Step
from pipeline.runtime.cuda.cuda_runtime import CudaRuntime
from pipeline.runtime.cuda.graphs import Captured
from pipeline.runtime.fold_batch_norm import fuse_batch_norms
from pipeline.runtime.open_torch import open_torch
from pipeline.runtime.pixels import Preprocessor
from pipeline.runtime.precision import DTYPES
from pipeline.runtime.torch_runtime import TorchRuntime

CPU_STREAMS = (1, 2, 4, 8, 16, 32, 64)
GPU_STREAMS = (*CPU_STREAMS, 128)
_WARM_UP = 3
_CAMERA = (480, 640)


@dataclass(frozen=True)
class ScaleResult:
    """One number of streams; times in milliseconds are medians of a step for all of them.

    Attributes:
        streams: In one batch.
        step_ms: From 640x480 pictures in memory to probabilities, with what has to be remembered.
        square_ms: The same from pictures that have the model's size already.
        again_ms: The same where all pictures are those of the step before.
        device_ms: Of this the GPU's own work for the model and for what it will remember, without resizing,
            copies, and without reading the past from its tables and writing to them; None on a CPU.
        plain_ms: A plain torchvision ResNet of that depth on the same batch: on a GPU compiled (where Triton
            works) and captured, its own work; on a CPU from pictures of the model's size.
        bare_ms: The same captured with the kernels of our step instead of compiled ones; None without them.
        over_plain: ``device_ms``, on a CPU ``square_ms``, divided by ``plain_ms``.
        frames_a_second: By ``device_ms``, on a CPU by ``step_ms``.
        remembered_kb: What a stream's past frames and newest features take.
    """

    streams: int
    step_ms: float
    square_ms: float
    again_ms: float
    device_ms: float | None
    plain_ms: float
    bare_ms: float | None
    over_plain: float
    frames_a_second: float
    remembered_kb: float


class Feed:
    """Streams that all have a new picture in every step.

    Args:
        runtime: Does the steps.
        streams: How many.
        shape: Rows and columns of the pictures.
    """

    def __init__(self, runtime: Runtime, streams: int, shape: tuple[int, int]) -> None:
        dice = np.random.default_rng(0)
        some = [dice.integers(0, 256, (*shape, 3), np.uint8) for _ in range(min(streams, 8))]
        self._images = [some[n % len(some)] for n in range(streams)]
        self._runtime = runtime
        self._past: list[list[Any]] = [[None] * runtime.num_past for _ in range(streams)]
        self._last: list[Memory] = []

    def step(self) -> None:
        self._take(self._runtime.infer(self._images, self._past, want_attention=True))

    def step_again(self) -> None:
        """All pictures are those of the last step."""
        known = self._last
        self._take(self._runtime.infer(self._images, self._past, want_attention=True, known=known))

    def _take(self, step: Step) -> None:
        self._last = step.remember()
        self._past = [[*past[1:], last.entry] for past, last in zip(self._past, self._last, strict=True)]


def measure(
    runtime: CudaRuntime | TorchRuntime, model: TemporalKVQResNetCBAM, streams: int, repeats: int
) -> ScaleResult:
    """Measures one number of streams."""
    camera = Feed(runtime, streams, _CAMERA)
    square = Feed(runtime, streams, (model.preprocessing.size,) * 2)
    where = torch.device(runtime.device)
    dtype = DTYPES[str(runtime.describe()["precision"])]
    fused = runtime.describe().get("kernels") == "fused"
    plain = plain_resnet(model, where, dtype, streams, compiled=fused)
    step_ms, square_ms = clock(camera.step, repeats), clock(square.step, repeats)
    again_ms = clock(square.step_again, repeats)
    device_ms = bare_ms = None
    if isinstance(runtime, CudaRuntime):
        graphs = runtime.step_for(streams)
        works: list[Callable[[], object]] = [lambda: (graphs.new.run(), graphs.keep.run()), plain]
        if fused:
            from benchmarks.cuda_floors import bare_resnet  # needs Triton

            works.append(bare_resnet(model, where, dtype, streams))
        device_ms, plain_ms, *bare = queued(works, repeats)
        bare_ms = bare[0] if bare else None
    else:
        plain_ms = clock(plain, repeats)
    return ScaleResult(
        streams=streams,
        step_ms=round(step_ms, 3),
        square_ms=round(square_ms, 3),
        again_ms=round(again_ms, 3),
        device_ms=None if device_ms is None else round(device_ms, 3),
        plain_ms=round(plain_ms, 3),
        bare_ms=None if bare_ms is None else round(bare_ms, 3),
        over_plain=round((device_ms or square_ms) / plain_ms, 2),
        frames_a_second=round(streams / (device_ms or step_ms) * 1e3, 1),
        remembered_kb=round(remembered_bytes(model, runtime) / 1024, 1),
    )


def plain_resnet(
    model: TemporalKVQResNetCBAM, where: torch.device, dtype: torch.dtype, streams: int, *, compiled: bool
) -> Callable[[], object]:
    """The floor: one pass of torchvision's ResNet over the batch, from pixels to probabilities.

    Args:
        model: Whose depth and size it has.
        where: Device; on a GPU the pass is captured.
        dtype: Type of weights and maps.
        streams: Pictures in the batch.
        compiled: On a GPU it is compiled first, which needs Triton.
    """
    depth, size = model.architecture.depth, model.preprocessing.size
    network = torchvision.models.get_model(f"resnet{depth}", weights=None).eval().requires_grad_(False)
    fuse_batch_norms(network)  # as in our step
    network.to(where, dtype, memory_format=torch.channels_last)
    preprocess = Preprocessor(model.preprocessing, where, dtype)
    squares = torch.randint(0, 256, (streams, size, size, 3), dtype=torch.uint8).to(where)

    def work() -> torch.Tensor:
        probabilities: torch.Tensor = network(preprocess.normalised(squares)).float().softmax(1)
        return probabilities

    if where.type == "cpu":
        return torch.inference_mode()(work)
    work.__code__ = work.__code__.replace()  # torch keeps a few compilations of one code only
    captured = torch.compile(work, dynamic=False) if compiled else work
    with torch.inference_mode():
        return Captured(captured, torch.cuda.graph_pool_handle()).run


def clock(work: Callable[[], object], repeats: int) -> float:
    """Median wall-clock time in milliseconds."""
    times = []
    for n in range(_WARM_UP + repeats):
        started = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if n >= _WARM_UP:
            times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times)


def queued(works: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Time of the GPU in milliseconds for one of many runs in a row: medians of five such rows, in turns."""
    rows: list[list[float]] = [[] for _ in works]
    with torch.inference_mode():
        for _ in range(5):
            for work, times in zip(works, rows, strict=True):
                first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
                work()
                first.record()
                for _ in range(repeats):
                    work()
                last.record()
                torch.cuda.synchronize()
                times.append(first.elapsed_time(last) / repeats)
    return [statistics.median(times) for times in rows]


def remembered_bytes(model: TemporalKVQResNetCBAM, runtime: Runtime) -> int:
    """Of one stream: keys and values of its past frames, and the features of the newest."""
    frame = np.zeros((model.preprocessing.size, model.preprocessing.size, 3), np.uint8)
    (memory,) = runtime.infer([frame], [[None] * runtime.num_past]).remember()
    with torch.inference_mode():
        _, features = model.predict(torch.zeros(1, 3, *frame.shape[:2]), model.init_state(1))
    numbers = 2 * model.init_state(1).keys.numel()
    numbers += sum(x.numel() for x in features.values()) if memory.features is not None else 0
    return numbers * (4 if runtime.describe()["precision"] == "fp32" else 2)


@dataclass(frozen=True)
class FlatResult:
    """Memory over many steps.

    Attributes:
        streams: In one batch.
        steps: How many.
        device_mb_first: Of the GPU, allocated after a tenth of the steps; None on a CPU.
        device_mb_last: The same at the end.
        rss_mb_first: Resident memory of the process, then.
        rss_mb_last: The same at the end.
    """

    streams: int
    steps: int
    device_mb_first: float | None
    device_mb_last: float | None
    rss_mb_first: float
    rss_mb_last: float


def run_long(runtime: CudaRuntime | TorchRuntime, size: int, streams: int, steps: int) -> FlatResult:
    """Runs many steps and looks at the memory."""
    feed = Feed(runtime, streams, (size, size))
    marks = []
    for n in range(steps):
        feed.step()
        if n + 1 in (max(steps // 10, 1), steps):
            gc.collect()
            on_gpu = isinstance(runtime, CudaRuntime)
            device = round(torch.cuda.memory_allocated() / 2**20, 1) if on_gpu else None
            marks.append((device, _resident_mb()))
    (device_first, rss_first), (device_last, rss_last) = marks[0], marks[-1]
    return FlatResult(streams, steps, device_first, device_last, rss_first, rss_last)


def _resident_mb() -> float:
    """By the kernel's own file: psutil is not everywhere."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def draw(results: Sequence[ScaleResult], title: str, path: Path) -> None:
    """Draws the curves; needs matplotlib."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    results = sorted(results, key=lambda result: result.streams)
    streams = [result.streams for result in results]
    curves = {
        "from 640x480 pictures": [r.step_ms for r in results],
        "plain ResNet": [r.plain_ms for r in results],
    }
    if results[0].device_ms is not None:
        curves["the GPU's own work"] = [r.device_ms or 0.0 for r in results]
    else:
        curves["from pictures of the model's size"] = [r.square_ms for r in results]
    for label, values in curves.items():
        left.plot(streams, values, "o-", label=label)
        right.plot(streams, [value / n for value, n in zip(values, streams, strict=True)], "o-", label=label)
    for axis, what in ((left, "ms a step"), (right, "ms a stream and step")):
        axis.set(xscale="log", yscale="log", xlabel="streams in one batch", ylabel=what)
        axis.set_xticks(streams, [str(n) for n in streams])
        axis.minorticks_off()
        axis.grid(visible=True, alpha=0.3)
    left.legend()
    figure.suptitle(title)
    figure.savefig(path, dpi=120)
    plt.close(figure)


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
    """Measures each number of streams, then the memory over many steps; prints lines.

    Raises:
        ValueError: A device or precision that is not here.
    """
    torch.manual_seed(0)
    model = TemporalKVQResNetCBAM(depth=depth, d_model=512, num_classes=1000).eval()
    runtime = open_torch(model, device, precision, name=f"ResNet-{depth}")
    about = runtime.describe()
    counts = streams or (GPU_STREAMS if isinstance(runtime, CudaRuntime) else CPU_STREAMS)
    title = f"ResNet-{depth} + CBAM, {about['backend']}, {about['device']}, {about['precision']}"
    print(title)
    print("ms a step: from 640x480 pictures, from pictures of the model's size, with unchanged pictures,\n"
          "the GPU's own work, plain ResNet compiled, plain ResNet with the kernels of our step")  # fmt: skip
    if about.get("kernels") == "torch":
        print("without Triton the plain ResNet is captured but not compiled, and so is our step")
    print(f"{'streams':>7} {'640x480':>8} {'own size':>8} {'same':>8} {'GPU':>8} {'plain':>8} {'bare':>8}"
          f" {'/ plain':>7} {'frames/s':>8} {'kB/stream':>9}")  # fmt: skip
    results = []
    for count in counts:
        tell(f"{count} streams")
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
        if json_file is not None:  # after each, so that a run that is cut short leaves something
            _write(json_file, about, depth, results, None)
    tell(f"memory: {steps} steps")
    flat = run_long(runtime, model.preprocessing.size, 16 if 16 in counts else counts[-1], steps)
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


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=50)
    parser.add_argument("--streams", type=int, action="append", help="in one batch; repeatable")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--steps", type=int, default=2000, help="of the look at the memory")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    given = _arguments()
    bench(
        given.depth,
        given.streams or (),
        given.device,
        given.precision,
        given.repeats,
        given.steps,
        given.json,
        given.picture,
    )
