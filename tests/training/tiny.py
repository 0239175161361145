"""Training runs that take seconds."""

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipeline.training.options import FitOptions

TINY: dict[str, Any] = {
    "device": "cpu",
    "d_model": 32,
    "num_heads": 2,
    "size_px": 32,
    "steps": 4,
    "batch_size": 6,
    "warmup_steps": 1,
    "bank_count": 32,
    "redraw_every_steps": 2,
    "supersample": 1,
    "compile": False,
    "log_every_steps": 2,
    "validate_every_steps": 100,
    "validate_samples": 8,
    "evaluate_samples": 8,
}


def tiny_options(out: Path, **more: Any) -> FitOptions:
    """A ResNet-18 over frames of 32 px, for four steps."""
    return FitOptions(**(TINY | {"out": str(out)} | more))


def start_training(
    out: Path,
    *arguments: str,
    ranks: int = 0,
    module: str = "pipeline.training.run",
    largest_file: int = resource.RLIM_INFINITY,
    **more: Any,
) -> subprocess.Popen[str]:
    """Starts the same as a process of its own; with ``ranks`` as so many under torchrun."""
    settings = [
        part for key, value in (TINY | more).items() for part in ("--set", f"{key}={str(value).lower()}")
    ]
    launcher = ["-m", module]
    if ranks:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), *launcher]
    return subprocess.Popen(
        [sys.executable, *launcher, "--out", str(out), *arguments, *settings],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file)),
    )
