"""Distributes variants over the GPUs of one machine, one process for each variant."""

import json
import os
import queue
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.temporal.budget import Budget
from pipeline.base.scratch import scratch_folder

_ROOT = Path(__file__).parents[2]


def over_gpus(
    names: Sequence[str], budget: Budget, gpus: int, *, cost_only: bool = False
) -> Iterator[dict[str, Any]]:
    """JSON lines of the variants in order of completion.

    A process that dies or hangs affects only its own variant. This process does not use CUDA.
    """
    free: queue.SimpleQueue[str] = queue.SimpleQueue()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    for gpu in visible.split(",") if visible else map(str, range(gpus)):
        free.put(gpu)
    threads = os.environ.get("OMP_NUM_THREADS") or str(max((os.cpu_count() or 1) // gpus, 1))
    # without a time budget there is no timeout
    patience_s = 600 + 180 * budget.minutes if budget.minutes else None

    def run(name: str) -> dict[str, Any]:
        gpu = free.get()
        try:
            path = os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
            own = {"CUDA_VISIBLE_DEVICES": gpu, "OMP_NUM_THREADS": threads, "PYTHONPATH": path}
            environment = dict(os.environ) | own
            return _run_apart(name, budget, environment, patience_s, cost_only)
        finally:
            free.put(gpu)

    with ThreadPoolExecutor(gpus) as pool:
        try:
            for future in as_completed([pool.submit(run, name) for name in names]):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # after Ctrl-C, start no more variants


def _run_apart(
    name: str, budget: Budget, environment: dict[str, str], patience_s: float | None, cost_only: bool
) -> dict[str, Any]:
    options = [f"--{key.replace('_', '-')}={value}" for key, value in asdict(budget).items()]
    with scratch_folder("kvq-bench-") as folder:
        out = folder / "line.jsonl"
        command = [sys.executable, "-m", "benchmarks.ablation", "--only", name, "--out", str(out), *options]
        command += ["--cost-only"] if cost_only else []
        try:
            ended = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=patience_s
            )
            if out.exists():
                return dict(json.loads(out.read_text("utf-8")))
            last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
            error = f"process ended with exit code {ended.returncode}: {last[:300]}"
        except subprocess.TimeoutExpired:
            error = f"not finished within {patience_s:.0f} s"
    return {"name": name, "budget": asdict(budget), "error": error}
