"""Memory of process and GPU over many steps."""

import gc
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.scale.feed import Feed
from pipeline.model.preprocessing import Size
from pipeline.runtime.base import Runtime
from pipeline.runtime.cuda.cuda_engine import CudaEngine


@dataclass(frozen=True)
class FlatResult:
    """Memory over many steps.

    Attributes:
        streams: Batch size.
        steps: Number of steps.
        device_mb_first: Allocated GPU memory after 10 % of the steps; None on a CPU.
        device_mb_last: The same at the end.
        rss_mb_first: Resident memory of the process after 10 % of the steps.
        rss_mb_last: The same at the end.
    """

    streams: int
    steps: int
    device_mb_first: float | None
    device_mb_last: float | None
    rss_mb_first: float
    rss_mb_last: float


def run_long(runtime: Runtime, size: Size, streams: int, steps: int) -> FlatResult:
    """Runs many steps and measures the memory."""
    feed = Feed(runtime, streams, size)
    marks = []
    for n in range(steps):
        feed.step()
        if n + 1 in (max(steps // 10, 1), steps):
            gc.collect()
            on_gpu = isinstance(runtime.engine, CudaEngine)
            device = round(torch.cuda.memory_allocated() / 2**20, 1) if on_gpu else None
            marks.append((device, _resident_mb()))
    (device_first, rss_first), (device_last, rss_last) = marks[0], marks[-1]
    return FlatResult(streams, steps, device_first, device_last, rss_first, rss_last)


def _resident_mb() -> float:
    """Resident memory from ``/proc``, so that psutil is not needed."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
