"""One step for one new frame, compared with the reference implementation and a plain ResNet.

The reference implementation ("guide") sends all three frames through the backbone for every prediction, in
eager torch; the plain ResNet runs in the same runtime as the step. With dense motion, OpenCV's DIS is
measured too. For each network and number of streams, all candidates run on the same frames in the same
process, in alternation.
"""

import json
import statistics
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.floors import plain_resnet
from benchmarks.machine import describe_machine
from pipeline.base.packages import MissingPackageError
from pipeline.base.stage_lines import print_stage
from pipeline.model.checkpoint import load_checkpoint
from pipeline.model.device import DeviceError, pick_device
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.preprocessing import Size
from pipeline.runtime.base import Runtime
from pipeline.runtime.exported.open_onnx import open_onnx
from pipeline.runtime.exported.open_openvino import open_openvino
from pipeline.runtime.open_torch import open_torch
from pipeline.runtime.pixels import Preprocessor
from pipeline.runtime.precision import DTYPES
from pipeline.runtime.runtime_options import Options
from pipeline.runtime.step import Image
from pipeline.runtime.threaded_stretch import Stretcher
from pipeline.training.evaluation.opencv_baselines import flow_baselines

_OPEN = {"torch": open_torch, "openvino": open_openvino, "onnxruntime": open_onnx}
BACKENDS = (*_OPEN,)
_WARM_UP = 3
_TELL_S = 5.0
_CALIBRATED_ON = 4
_SIZE_PX = 224  # of random networks

Turn = Callable[[], None]


@dataclass(frozen=True)
class StepResult:
    """Medians in milliseconds, and the interquartile range as the spread.

    ``step_ms`` is the time from the decoded frame to the probabilities: resize, copy, cached step.
    ``unchanged_ms`` is the step for an unchanged frame. ``guide_ms`` is a step in eager torch that sends all
    frames through the network; ``plain_resnet_ms`` is a step with torchvision's ResNet of the same depth
    instead, in the same runtime. ``dis_ms``, for a network with dense motion, is OpenCV's flow (DIS, medium)
    between two frames of each stream at the network's input size, on one core. All frames are noise.
    """

    network: str
    backend: str
    device: str
    precision: str
    depth: int
    size_px: tuple[int, int]
    streams: int
    step_ms: float
    step_spread_ms: float
    unchanged_ms: float
    unchanged_spread_ms: float
    guide_ms: float
    guide_spread_ms: float
    plain_resnet_ms: float
    plain_resnet_spread_ms: float
    dis_ms: float | None
    guide_over_step: float
    step_over_plain: float


class Case(NamedTuple):
    """A runtime to measure; ``wanted``: named by the user, so it is an error if it is not available."""

    backend: str
    precision: str
    wanted: bool


class Subject(NamedTuple):
    """A network to measure, and its name."""

    name: str
    model: TemporalKVQResNetCBAM


def random_network(depth: int, size: int) -> Subject:
    """A network with random weights, as in the reference implementation."""
    torch.manual_seed(0)
    model = TemporalKVQResNetCBAM(depth=depth, d_model=512, num_classes=1000, image_size=size).eval()
    return Subject(f"ResNet-{depth}", model)


def trained_network(checkpoint: str, longer_side_px: int) -> Subject:
    """A checkpoint, with the given longer side of its input; 0 keeps the checkpoint's own size."""
    model = load_checkpoint(checkpoint)
    model.preprocessing = Options(longer_side_px=longer_side_px).preprocessing(model.preprocessing)
    return Subject(Path(checkpoint).stem, model)


def measure(
    subject: Subject, streams: int, cases: list[Case], *, device: str = "auto", repeats: int = 30
) -> list[StepResult]:
    """Measures one network and number of streams, with 640x480 frames.

    Thread counts are those of an inference worker: one for OpenCV, and one for torch with an exported step.
    """
    cv2.setNumThreads(1)
    name, model = subject
    depth, size = model.architecture.depth, model.preprocessing.usual_size
    rng = np.random.default_rng(0)
    pictures = [
        [rng.integers(0, 256, (480, 640, 3), dtype=np.uint8) for _ in range(streams)] for _ in range(3)
    ]
    runtimes: list[Runtime] = []
    candidates: list[Turn] = []
    for case in cases:
        print_stage(f"{name} x{streams}: preparing {case.backend}, {case.precision}")
        try:
            runtime = _open(model, case, device)
        except (DeviceError, MissingPackageError) as error:
            if case.wanted:
                raise
            print(f"skipped: {error}")
            continue
        floor: Turn = partial(plain_resnet(depth, model.preprocessing, runtime.engine), pictures[2])
        runtimes.append(runtime)
        count = runtime.engine.threads if case.backend == "torch" else 1  # as in open_runtime
        candidates += [partial(_with_threads, count, run) for run in (*_cached(runtime, pictures), floor)]
    if not runtimes:
        raise DeviceError("none of these backends supports these precisions on this machine")
    candidates.append(
        partial(_with_threads, runtimes[0].engine.threads, _as_written(model, runtimes[0], pictures))
    )
    if model.motion is not None:
        candidates.append(_dis(pictures, size))
    print_stage(f"{name} x{streams}: {_WARM_UP + repeats} rounds of {len(candidates)} candidates")
    times = take_turns(candidates, repeats)
    dis = round(median(times.pop()), 3) if model.motion is not None else None
    *times, written = times
    return [
        StepResult(
            network=name,
            backend=runtime.engine.backend,
            device=runtime.engine.device,
            precision=runtime.engine.precision,
            depth=depth,
            size_px=size,
            streams=streams,
            step_ms=round(median(step), 3),
            step_spread_ms=round(spread(step), 3),
            unchanged_ms=round(median(again), 3),
            unchanged_spread_ms=round(spread(again), 3),
            guide_ms=round(median(written), 3),
            guide_spread_ms=round(spread(written), 3),
            plain_resnet_ms=round(median(floor_ms), 3),
            plain_resnet_spread_ms=round(spread(floor_ms), 3),
            dis_ms=dis,
            guide_over_step=round(median(written) / median(step), 2),
            step_over_plain=round(median(step) / median(floor_ms), 2),
        )
        for runtime, step, again, floor_ms in zip(
            runtimes, times[0::3], times[1::3], times[2::3], strict=True
        )
    ]


class _Noise(NamedTuple):
    frames: npt.NDArray[np.uint8]
    labels: list[str]


def _noise(size: int, num_past: int, count: int, seed: int) -> _Noise:
    """Noise for calibration: the ranges do not affect the speed of int8."""
    shape = (min(count, _CALIBRATED_ON), num_past + 1, size, size, 3)
    return _Noise(np.random.default_rng(seed).integers(0, 256, shape, np.uint8), [""] * shape[0])


def _quiet(line: str) -> None:
    del line


def _open(model: TemporalKVQResNetCBAM, case: Case, device: str) -> Runtime:
    options = Options(
        device=device, precision=case.precision, clips=_noise, least_agreement=0.0, report=_quiet
    )
    return _OPEN[case.backend](model, options)


def _with_threads(count: int, run: Turn) -> None:
    torch.set_num_threads(count)
    run()


def _cached(runtime: Runtime, pictures: list[list[Image]]) -> tuple[Turn, ...]:
    """A step for new frames, and one for unchanged frames."""
    none = [[None, None]] * len(pictures[0])
    oldest, newer = (runtime.infer(pictures[n], none).remember() for n in (0, 1))
    past = [[first.entry, second.entry] for first, second in zip(oldest, newer, strict=True)]

    def run() -> None:
        runtime.infer(pictures[2], past).remember()

    known = runtime.infer(pictures[2], past).remember()

    def run_again() -> None:
        runtime.infer(pictures[2], past, known=known).remember()

    return run, run_again


def _as_written(
    model: TemporalKVQResNetCBAM,
    runtime: Runtime,
    pictures: list[list[Image]],
) -> Turn:
    """The reference implementation: float32 on a CPU, the runtime's precision on a GPU."""
    device = pick_device(runtime.engine.device)
    dtype = DTYPES[runtime.engine.precision] if device.type == "cuda" else torch.float32
    guide = deepcopy(model).to(device=device, dtype=dtype)
    preprocess = Preprocessor(model.preprocessing, device, dtype)

    @torch.inference_mode()
    def run() -> None:
        guide(*(preprocess(images) for images in pictures))[0].float().softmax(1).cpu()

    return run


def _dis(pictures: list[list[Image]], size: Size) -> Turn:
    """The flow from the newest frame of each stream to the previous one, at the network's input size."""
    flow, resize = flow_baselines()["dis"], Stretcher(size, 1)

    def run() -> None:
        for new, past in zip(resize(pictures[2]), resize(pictures[1]), strict=True):
            flow(new, past)

    return run


def take_turns(candidates: list[Turn], repeats: int) -> list[list[float]]:
    """Times in milliseconds of each candidate, run in alternation so that noise affects all equally.

    Each candidate runs twice per round, and the second run is timed, because torch's threads spin for a while
    after their work and would disturb the next candidate.
    """
    times: list[list[float]] = [[] for _ in candidates]
    told_s = time.monotonic()
    for round_number in range(_WARM_UP + repeats):
        if time.monotonic() - told_s > _TELL_S:
            print_stage(f"round {round_number + 1} of {_WARM_UP + repeats}")
            told_s = time.monotonic()
        for candidate, kept in zip(candidates, times, strict=True):
            candidate()
            started = time.perf_counter()
            candidate()
            if round_number >= _WARM_UP:
                kept.append((time.perf_counter() - started) * 1e3)
    return times


def median(times: list[float]) -> float:
    """The median."""
    return statistics.median(times)


def spread(times: list[float]) -> float:
    """The interquartile range."""
    first, _, third = statistics.quantiles(times, n=4)
    return third - first


def bench(
    depths: list[int],
    checkpoints: list[str],
    streams: list[int],
    backends: list[str],
    device: str,
    precisions: list[str],
    size: int,
    repeats: int,
    json_file: Path | None,
) -> None:
    """Measures all combinations of networks and numbers of streams; prints a table and may write JSON.

    Args:
        depths: Depths of networks with random weights; 18 and 50 if neither these nor checkpoints are given.
        checkpoints: Names or files.
        streams: Batch sizes.
        backends: Names, or ``all`` for all available ones.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...
        precisions: ``auto``, ``fp32``, ``fp16``, ``bf16`` or ``int8``.
        size: Input size in pixels; 0 is 224 for random weights, or the checkpoint's own size.
        repeats: Number of rounds.
        json_file: Output file.

    Raises:
        ValueError: A backend, device or precision is not available; with ``all`` it is skipped instead.
    """
    unknown = {*backends} - {*BACKENDS, "all"}
    if unknown:
        raise ValueError(f"backend {unknown.pop()!r}: choose {', '.join(BACKENDS)} or all")
    names = BACKENDS if "all" in backends else backends
    cases = [Case(name, precision, "all" not in backends) for name in names for precision in precisions]
    if not depths and not checkpoints:
        depths = [18, 50]
    subjects = [random_network(depth, size or _SIZE_PX) for depth in depths]
    subjects += [trained_network(checkpoint, size) for checkpoint in checkpoints]
    machine = describe_machine()  # before the measurements, which change the number of threads
    results = [
        result
        for subject in subjects
        for count in streams
        for result in measure(subject, count, cases, device=device, repeats=repeats)
    ]
    table = _table(results, machine)
    needed = Console(width=1000).measure(table).maximum
    Console(width=max(Console().width, needed)).print(table)
    if json_file is not None:
        document = {"machine": machine, "results": [asdict(result) for result in results]}
        json_file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _table(results: list[StepResult], machine: dict[str, str]) -> Table:
    about = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.items())
    table = Table(
        title=about,
        caption="ms: median ± half the interquartile range; x1: one stream\n"
        "unchanged: a step for a frame that is identical to the previous one\n"
        "guide: reference implementation, three passes in eager torch\n"
        "plain: torchvision's ResNet in the same runtime\n"
        "DIS: OpenCV's flow, preset medium, between two frames of each stream at that size, on one core",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for heading in ("", "runtime"):
        table.add_column(heading, no_wrap=True)
    for heading in ("step ms", "unchanged", "guide ms", "plain ms", "DIS ms", "guide/step", "step/plain"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        table.add_row(
            f"{result.network} {result.size_px[1]}x{result.size_px[0]} x{result.streams}",
            f"{result.backend} {result.precision}",
            _spread(result.step_ms, result.step_spread_ms),
            _spread(result.unchanged_ms, result.unchanged_spread_ms),
            _spread(result.guide_ms, result.guide_spread_ms),
            _spread(result.plain_resnet_ms, result.plain_resnet_spread_ms),
            "-" if result.dis_ms is None else f"{result.dis_ms:.1f}",
            f"{result.guide_over_step:.2f}",
            f"{result.step_over_plain:.2f}",
        )
    return table


def _spread(median_ms: float, spread_ms: float) -> str:
    return f"{median_ms:.1f} ±{50 * spread_ms / median_ms:.0f}%"
