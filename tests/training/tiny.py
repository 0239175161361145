"""Training runs that take seconds."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from pipeline.model.checkpoint import load_checkpoint, save_checkpoint
from pipeline.training.rendered.dense_loss import dense_loss
from pipeline.training.rendered.scene_renderer import SceneRenderer
from pipeline.training.samples import normalised
from pipeline.training.training_options import TrainingOptions, load_options

ROOT = Path(__file__).parents[2]
TINY: dict[str, Any] = {
    "device": "cpu",
    "model.d_model": 32,
    "model.num_heads": 2,
    "model.image_size": 32,
    "minutes": 0,
    "steps": 4,
    "batch_size": 6,
    "warmup_steps": 1,
    "bank_count": 8,
    "redraw_every_steps": 2,
    "supersample": 1,
    "compile": False,
    "log_every_steps": 2,
    "validate_every_steps": 100,
    "validate_samples": 8,
    "evaluate_samples": 8,
    "scene.object_share": 0.3,
    "scene.scrolling_share": 0,
    "scene.flat_share": 0,
    "scene.blur_share": 0,
    "scene.dark_share": 0,
    "scene.compressed_share": 0,
}
WITH_SCENES: dict[str, Any] = {
    "model.motion": True,
    "scene_batch_size": 2,
    "scene_height": 64,
    "scene_width": 96,
}
"""To be added to ``TINY``: dense motion learns too."""
SMALL: dict[str, Any] = {
    "device": "cpu",
    "model.image_size": 64,
    "batch_size": 4,
    "steps": 6,
    "validate_every_steps": 3,
    "windows_per_clip": 2,
}
"""For recorded clips, from the shipped weights."""


def settings(options: dict[str, Any]) -> list[str]:
    """Options as texts for ``--set``."""
    return [f"{key}={json.dumps(value)}" for key, value in options.items()]


def tiny_options(out: Path, **more: Any) -> TrainingOptions:
    """A ResNet-18 over frames of 32 px, for four steps."""
    return load_options(None, settings(TINY | {"out": str(out)} | more))


def with_std_times_4(checkpoint: Path, other: Path) -> Path:
    """The same network for frames of a quarter of the contrast: it answers the same to the same pictures."""
    model = load_checkpoint(checkpoint)
    std = model.preprocessing.std
    model.preprocessing = replace(model.preprocessing, std=(4 * std[0], 4 * std[1], 4 * std[2]))
    for backbone in model.backbones:
        backbone.conv1.weight.data *= 4
    save_checkpoint(other, model, metadata=model.metadata)
    return other


def sliding_clips(folder: Path, clips: int) -> Path:
    """Clips of a picture that slides left or right, so many each, as folders of six pictures."""
    for label, direction in (("leftwards", -1), ("rightwards", 1)):
        for number in range(clips):
            place = folder / label / str(number)
            place.mkdir(parents=True)
            noise = np.random.default_rng(number).integers(0, 255, (12, 24, 3), dtype=np.uint8)
            wide = cv2.resize(noise, (128, 64), interpolation=cv2.INTER_CUBIC)
            for step in range(6):
                left = 32 - direction * 3 * (step - 3)
                cv2.imwrite(str(place / f"{step:03d}.png"), wide[:, left : left + 64])
    return folder


def end_point_error(model: nn.Module) -> float:
    """Of dense motion on rendered scenes, in pixels."""
    scenes = SceneRenderer(torch.device("cpu"), 96, 128, seed=3, bank_count=8).clips(8)
    seen = torch.ones(8, 2, dtype=torch.bool)
    with torch.no_grad():
        motion, trace = model.motion_trace(normalised(scenes.frames, model), seen)  # type: ignore[operator]
    return float(dense_loss(motion, trace, scenes.truth, seen).epe)


def command(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command of the program to its end, in this environment or another."""
    return subprocess.run(
        [sys.executable, "run_stream.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=env,
        timeout=100,
    )


def start_training(
    out: Path,
    *arguments: str,
    ranks: int = 0,
    program: Sequence[str] = ("run_stream.py", "train"),
    largest_file: int = resource.RLIM_INFINITY,
    **more: Any,
) -> subprocess.Popen[str]:
    """Starts a tiny run as a process of its own; with ``ranks`` as so many under torchrun."""
    launcher: list[str] = []
    if ranks:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    options = [part for text in settings(TINY | more) for part in ("--set", text)]
    return subprocess.Popen(
        [sys.executable, *launcher, *program, "--out", str(out), *arguments, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        start_new_session=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file)),
    )


def wait_for(what: Callable[[], bool], running: subprocess.Popen[str]) -> None:
    """Waits until a process that must go on has done something."""
    deadline = time.monotonic() + 100
    while not what():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
