"""One step for one new frame: cached, against the guide as written and against a plain ResNet.

All three run the same weights on the same device in the same process and take turns; the guide as
written sends all three frames through the backbone for every prediction.
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torchvision
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe_machine
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.runtime import TorchRuntime
from pipeline.runtime.preprocess import Preprocessor

_WARM_UP = 3


@dataclass(frozen=True)
class StepResult:
    """Medians in milliseconds, and the middle half of the values as the spread.

    ``step_ms`` is everything from the decoded picture to the probabilities: resize, copy, cached step.
    ``guide_ms`` is the same with all frames through the network; ``plain_resnet_ms`` the same with
    torchvision's ResNet of that depth in its place.
    """

    backend: str
    device: str
    precision: str
    depth: int
    streams: int
    step_ms: float
    step_spread_ms: float
    guide_ms: float
    guide_spread_ms: float
    plain_resnet_ms: float
    plain_resnet_spread_ms: float
    guide_over_step: float
    step_over_plain: float


def measure(
    depth: int, streams: int, *, device: str = "auto", precision: str = "auto", repeats: int = 30
) -> StepResult:
    """Measures one configuration; pictures are 640x480, weights random, ``d_model`` 512."""
    torch.manual_seed(0)
    model = TemporalKVQResNetCBAM(depth=depth, d_model=512, num_classes=1000).eval()
    runtime = TorchRuntime(model, device, precision)
    where, dtype = torch.device(runtime.device), getattr(torch, _TORCH_NAMES[runtime.precision])
    plain = torchvision.models.get_model(f"resnet{depth}", weights=None).eval()
    plain.to(device=where, dtype=dtype, memory_format=torch.channels_last)
    guide = model.to(device=where, dtype=dtype)
    preprocess = Preprocessor(model.preprocessing, where, dtype)
    rng = np.random.default_rng(0)
    pictures = [
        [rng.integers(0, 256, (480, 640, 3), dtype=np.uint8) for _ in range(streams)] for _ in range(3)
    ]
    runtime.infer(pictures[0], [[None, None]] * streams)
    oldest = runtime.remember(runtime.infer(pictures[0], [[None, None]] * streams))
    newer = runtime.remember(runtime.infer(pictures[1], [[None, None]] * streams))
    past = [[first, second] for first, second in zip(oldest, newer, strict=True)]

    def cached() -> None:
        results = runtime.infer(pictures[2], past)
        runtime.remember(results)

    @torch.inference_mode()
    def as_written() -> None:
        frames = [preprocess(images) for images in pictures]
        guide(*frames)[0].float().softmax(1).cpu()

    @torch.inference_mode()
    def resnet() -> None:
        plain(preprocess(pictures[2])).float().softmax(1).cpu()

    step, written, floor = take_turns([cached, as_written, resnet], repeats)
    return StepResult(
        backend=runtime.backend,
        device=runtime.device,
        precision=runtime.precision,
        depth=depth,
        streams=streams,
        step_ms=round(median(step), 3),
        step_spread_ms=round(spread(step), 3),
        guide_ms=round(median(written), 3),
        guide_spread_ms=round(spread(written), 3),
        plain_resnet_ms=round(median(floor), 3),
        plain_resnet_spread_ms=round(spread(floor), 3),
        guide_over_step=round(median(written) / median(step), 2),
        step_over_plain=round(median(step) / median(floor), 2),
    )


_TORCH_NAMES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def take_turns(candidates: list[Callable[[], None]], repeats: int) -> list[list[float]]:
    """Times in milliseconds of each candidate, one after the other in every round: noise hits all alike."""
    times: list[list[float]] = [[] for _ in candidates]
    for round_number in range(_WARM_UP + repeats):
        for candidate, kept in zip(candidates, times, strict=True):
            started = time.perf_counter()
            candidate()
            if round_number >= _WARM_UP:
                kept.append((time.perf_counter() - started) * 1e3)
    return times


def median(times: list[float]) -> float:
    """The middle value."""
    return statistics.median(times)


def spread(times: list[float]) -> float:
    """Width of the middle half of the values."""
    first, _, third = statistics.quantiles(times, n=4)
    return third - first


def bench(
    depths: list[int],
    streams: list[int],
    backend: str,
    device: str,
    precision: str,
    repeats: int,
    json_file: Path | None,
) -> None:
    """Measures all combinations of depths and numbers of streams; prints a table, and writes JSON if asked.

    Raises:
        ValueError: A backend, device or precision that is not here.
    """
    if backend != "torch":
        raise ValueError(f"backend {backend!r}: this version has torch")
    results = [
        measure(depth, count, device=device, precision=precision, repeats=repeats)
        for depth in depths
        for count in streams
    ]
    machine = describe_machine()
    Console().print(_table(results, machine))
    if json_file is not None:
        document = {"machine": machine, "results": [asdict(result) for result in results]}
        json_file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _table(results: list[StepResult], machine: dict[str, str]) -> Table:
    about = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.items())
    first = results[0]
    table = Table(
        title=f"{first.backend} {first.device} {first.precision}: {about}",
        caption="ms: median, and half the width of the middle half of the values; x1: one stream\n"
        "guide: three passes, as written; plain: torchvision's ResNet",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for heading in ("", "step ms", "guide ms", "plain ms", "guide/step", "step/plain"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for result in results:
        table.add_row(
            f"ResNet-{result.depth} x{result.streams}",
            _spread(result.step_ms, result.step_spread_ms),
            _spread(result.guide_ms, result.guide_spread_ms),
            _spread(result.plain_resnet_ms, result.plain_resnet_spread_ms),
            f"{result.guide_over_step:.2f}",
            f"{result.step_over_plain:.2f}",
        )
    return table


def _spread(median_ms: float, spread_ms: float) -> str:
    return f"{median_ms:.1f} ±{50 * spread_ms / median_ms:.0f}%"
