"""Times a step by the number of streams, on CPU or GPU, beside a plain ResNet."""

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
    """The floor: one pass of torchvision's ResNet over the batch, from pixels to probabilities.

    Args:
        model: Whose depth and size it has.
        where: Device; on a GPU the pass is captured.
        dtype: Type of weights and maps.
        streams: Pictures in the batch.
        compiled: On a GPU it is compiled first, which needs Triton.
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
    frame = np.zeros((*runtime.usual_size, 3), np.uint8)
    (memory,) = runtime.infer([frame], [[None] * runtime.num_past]).remember()
    state = model.init_state(1, runtime.usual_size)
    with torch.inference_mode():
        _, features = model.predict(torch.zeros(1, 3, *runtime.usual_size), state)
    numbers = 2 * state.keys.numel()
    numbers += sum(x.numel() for x in features.values()) if memory.features is not None else 0
    return numbers * (4 if runtime.describe()["precision"] == "fp32" else 2)
