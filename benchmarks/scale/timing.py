"""Times a step by number of streams, on CPU or GPU, compared with a plain ResNet."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torchvision

from benchmarks.scale.feed import Feed
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.runtime.base import Runtime
from pipeline.runtime.cuda.cuda_engine import CudaEngine
from pipeline.runtime.cuda.graphs import Captured
from pipeline.runtime.fold_batch_norms import fold_batch_norms
from pipeline.runtime.pixels import Preprocessor
from pipeline.runtime.precision import DTYPES

_WARM_UP = 3
_CAMERA = (480, 640)


@dataclass(frozen=True)
class ScaleResult:
    """Result for one number of streams; times are medians, in milliseconds, of one step for all streams.

    Attributes:
        streams: Batch size.
        step_ms: From 640x480 frames in memory to probabilities, including the cache entries.
        square_ms: The same from frames that already have the model's input size.
        again_ms: The same with all frames unchanged.
        device_ms: GPU work for the model and the cache entries, without resizing, copies, and access to the
            tables of past frames; None on a CPU.
        plain_ms: A torchvision ResNet of the same depth on the same batch: on a GPU compiled (if Triton
            works) and captured, GPU work only; on a CPU from frames of the model's input size.
        bare_ms: As ``plain_ms``, with the kernels of our step instead of compiled ones; None without them.
        over_plain: ``device_ms``, or ``square_ms`` on a CPU, divided by ``plain_ms``.
        frames_a_second: Computed from ``device_ms``, or ``step_ms`` on a CPU.
        remembered_kb: Memory for a stream's past frames and newest features.
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


def measure(runtime: Runtime, model: TemporalKVQResNetCBAM, streams: int, repeats: int) -> ScaleResult:
    """Measures one number of streams."""
    camera = Feed(runtime, streams, _CAMERA)
    square = Feed(runtime, streams, runtime.usual_size)
    engine = runtime.engine
    where, dtype = torch.device(engine.device), DTYPES[engine.precision]
    fused = runtime.describe().get("kernels") == "fused"
    plain = plain_resnet(model, where, dtype, streams, compiled=fused)
    step_ms, square_ms = clock(camera.step, repeats), clock(square.step, repeats)
    again_ms = clock(square.step_again, repeats)
    device_ms = bare_ms = None
    if isinstance(engine, CudaEngine):
        graphs = engine.step_for(streams)
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
    """The lower bound: one pass of torchvision's ResNet over the batch, from pixels to probabilities.

    Args:
        model: Defines depth and input size.
        where: Device; on a GPU the pass is captured.
        dtype: Type of weights and maps.
        streams: Batch size.
        compiled: On a GPU, compile it first, which needs Triton.
    """
    depth, size = model.architecture.depth, model.preprocessing.usual_size
    network = torchvision.models.get_model(f"resnet{depth}", weights=None).eval().requires_grad_(False)
    fold_batch_norms(network)  # as in our step
    network.to(where, dtype, memory_format=torch.channels_last)
    preprocess = Preprocessor(model.preprocessing, where, dtype)
    squares = torch.randint(0, 256, (streams, *size, 3), dtype=torch.uint8).to(where)

    def work() -> torch.Tensor:
        probabilities: torch.Tensor = network(preprocess.normalised(squares)).float().softmax(1)
        return probabilities

    if where.type == "cpu":
        return torch.inference_mode()(work)
    work.__code__ = work.__code__.replace()  # torch limits the number of compilations per code object
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
    """GPU time per run in milliseconds over many queued runs: medians of five series, in alternation."""
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
    """Bytes per stream: keys and values of its past frames, and the features of the newest."""
    frame = np.zeros((*runtime.usual_size, 3), np.uint8)
    (memory,) = runtime.infer([frame], [[None] * runtime.num_past]).remember()
    state = model.init_state(1, runtime.usual_size)
    with torch.inference_mode():
        _, features = model.predict(torch.zeros(1, 3, *runtime.usual_size), state)
    numbers = 2 * state.keys.numel()
    numbers += sum(x.numel() for x in features.values()) if memory.features is not None else 0
    return numbers * (4 if runtime.describe()["precision"] == "fp32" else 2)
