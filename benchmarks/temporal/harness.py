"""Trains and scores any network that takes clips and a mask."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from rich.console import Console
from torch import Tensor, nn

from benchmarks.temporal.budget import Budget
from benchmarks.temporal.variants import Variant
from pipeline.base.scratch import scratch_folder
from pipeline.training.loop import train as train_to_the_end
from pipeline.training.progress import Reporter
from pipeline.training.rendered.renderer import USUAL, Scene, reverse_label
from pipeline.training.samples import normalised
from pipeline.training.trainer import Trainer
from pipeline.training.training_options import TrainingOptions, load_options

SPEEDS = (0.4, 1.0, 2.0)
_SAVE_EVERY = 100


@dataclass(frozen=True)
class Trained:
    """The averaged weights of a run, in evaluation mode, and their training cost."""

    model: nn.Module
    steps: int
    clips: int
    seconds: float
    loss: float


def train(name: str, variant: Variant, budget: Budget, notify: Callable[[str], None] = print) -> Trained:
    """Trains until the budget is used up, with the training loop of the product.

    With ``budget.keep`` the run is saved regularly, and resumed if it exists.

    Raises:
        FloatingPointError: The loss is no longer finite.
    """
    with scratch_folder("kvq-ablation-") as scratch:
        options = _options(variant, budget, Path(budget.keep or scratch) / name)
        run = Trainer(options, build=lambda *_: variant.build(budget.shape), notify=notify)
        run.out.mkdir(parents=True, exist_ok=True)
        if budget.keep and (run.out / "last.pt").exists():
            run.resume()
        metrics = run.out / "metrics.jsonl"
        with Reporter(metrics, Console(quiet=True), from_step=run.step) as reporter:
            run.start(notify)
            train_to_the_end(run, reporter)
        lines = [json.loads(line) for line in metrics.read_text("utf-8").splitlines()]
        losses = [line["loss"] for line in lines if "loss" in line] or [math.nan]
    return Trained(run.average.module, run.step, run.step * budget.batch, run.elapsed_s, losses[-1])


def _options(variant: Variant, budget: Budget, out: Path) -> TrainingOptions:
    scene = load_options().scene if budget.disturbed else USUAL
    return load_options(
        given={
            "out": str(out),
            "pictures": budget.pictures,
            "device": budget.device,
            "model": {"num_past": variant.num_past, "image_size": budget.size},
            "minutes": budget.minutes,
            "steps": budget.steps,
            "batch_size": budget.batch,
            "learning_rate": budget.rate,
            "warmup_steps": budget.warmup,
            "match_weight": variant.match_weight,
            "min_speed": variant.speeds[0],
            "max_speed": variant.speeds[1],
            "bank_count": budget.bank,
            "compile": budget.compile,
            "seed": budget.seed,
            "scene": msgspec.to_builtins(scene),
            # validation does not select weights here, so a single small one at the end is enough
            "validate_every_steps": 2**40,
            "validate_samples": 1,
            "save_every_steps": _SAVE_EVERY,
            "log_every_steps": 1 if budget.steps and budget.steps < 20 else 20,
        }
    )


def score(model: nn.Module, variant: Variant, budget: Budget) -> dict[str, float]:
    """Accuracy on held-out images by speed, and controls at 1x.

    Returns:
        ``0.4x``, ``1x``, ``2x``; ``single_frame``, the newest frame in all positions, which must score at
        chance; ``reversed``, the share of clips played backwards that get the reversed label. After training
        with disturbances, also the speeds with all disturbances, as ``0.4x disturbed`` ...
    """
    found = _score(model, variant, budget, USUAL)
    if budget.disturbed:
        hard = _score(model, variant, budget, load_options().scene)
        found |= {f"{speed:g}x disturbed": hard[f"{speed:g}x"] for speed in SPEEDS}
    return found


@torch.no_grad()
def _score(model: nn.Module, variant: Variant, budget: Budget, disturbances: Scene) -> dict[str, float]:
    source = budget.held_out_clips(variant.num_past, disturbances)
    batch = min(budget.batch, budget.samples)
    rounds = math.ceil(budget.samples / batch)
    hits = {f"{speed:g}x": 0 for speed in SPEEDS} | {"single_frame": 0, "reversed": 0}
    for speed in SPEEDS:
        for _ in range(rounds):
            frames, labels = source.batch(batch, speed)
            hits[f"{speed:g}x"] += _hits(model, frames, labels)
            if speed == 1.0:
                hits["single_frame"] += _hits(model, frames[:, -1:].expand_as(frames), labels)
                hits["reversed"] += _hits(model, frames.flip(1), reverse_label(labels))
    return {name: round(count / (rounds * batch), 4) for name, count in hits.items()}


def _hits(model: nn.Module, frames: Tensor, labels: Tensor) -> int:
    images = [
        frame.contiguous(memory_format=torch.channels_last)
        for frame in normalised(frames, model).unbind(dim=1)
    ]
    with torch.autocast(frames.device.type, torch.bfloat16, enabled=frames.device.type == "cuda"):
        logits = model(*images)[0]
    return int((logits.argmax(dim=1) == labels).sum())
