"""Trains and scores any network that takes clips and a mask: the same for all variants."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.temporal.budget import Budget
from benchmarks.temporal.variants import Variant
from pipeline.training.clip_sources import scene
from pipeline.training.options import FitOptions
from pipeline.training.rendered.renderer import Scene, reverse_label
from pipeline.training.trainer import Fitting

SPEEDS = (0.4, 1.0, 2.0)
_UNTIMED_STEPS = 2  # libraries load and convolutions are tuned in these
_SAVE_EVERY = 100


@dataclass(frozen=True)
class Trained:
    """The averaged weights of a run, in evaluation mode, and what they cost."""

    model: nn.Module
    steps: int
    clips: int
    seconds: float
    loss: float


def train(name: str, variant: Variant, budget: Budget, say: Callable[[str], None] = print) -> Trained:
    """Trains until the budget is used up, as ``pipeline.training`` does it.

    With ``budget.keep`` the run is saved as it goes, and goes on from there if it is there already.

    Raises:
        FloatingPointError: the loss is no longer finite.
    """
    run = Fitting(_options(name, variant, budget), build=lambda _, __: variant.build(budget.shape), say=say)
    if budget.keep and (run.out / "last.pt").exists():
        run.resume()
    run.start(say)
    started, before, recent, first = time.perf_counter(), run.elapsed_s, math.nan, run.step
    while run.progress < 1:
        cost = run.advance()
        # reading the loss waits for the device, so that the clock counts work done
        if run.step - first <= _UNTIMED_STEPS or run.step % 10 == 0:
            recent = float(cost)
            run.pending.clear()
            if not math.isfinite(recent):
                raise FloatingPointError(f"the loss is {recent} at step {run.step}")
        if run.step - first == _UNTIMED_STEPS:
            started = time.perf_counter()
        if run.step - first > _UNTIMED_STEPS:
            run.elapsed_s = before + time.perf_counter() - started
        if budget.keep and run.step % _SAVE_EVERY == 0:
            run.out.mkdir(parents=True, exist_ok=True)
            run.save()
    return Trained(run.average.model, run.step, run.step * budget.batch, run.elapsed_s, recent)


def _options(name: str, variant: Variant, budget: Budget) -> FitOptions:
    options = FitOptions(
        out=str(Path(budget.keep or "unused") / name),
        pictures=budget.pictures,
        device=budget.device,
        num_past=variant.num_past,
        size_px=budget.size,
        minutes=budget.minutes,
        steps=budget.steps,
        batch_size=budget.batch,
        learning_rate=budget.rate,
        warmup_steps=budget.warmup,
        match_weight=variant.match_weight,
        min_speed=variant.speeds[0],
        max_speed=variant.speeds[1],
        bank_count=budget.bank,
        compile=budget.compile,
        seed=budget.seed,
    )
    return replace(options, **budget.disturbances)


def score(model: nn.Module, variant: Variant, budget: Budget) -> dict[str, float]:
    """Accuracy on held-out pictures by speed, and controls at 1x.

    Returns:
        ``0.4x``, ``1x``, ``2x``; ``single_frame``, the newest frame in all places, which must sit at chance;
        ``reversed``, the share of clips played backwards that get the reversed label. After a disturbed
        training also the speeds with all disturbances, as ``0.4x disturbed`` ...
    """
    found = _score(model, variant, budget, Scene())
    if budget.disturbed:
        hard = _score(model, variant, budget, scene(_options("", variant, budget)))
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
    images = [frame.contiguous(memory_format=torch.channels_last) for frame in frames.unbind(dim=1)]
    with torch.autocast(frames.device.type, torch.bfloat16, enabled=frames.device.type == "cuda"):
        logits = model(*images)[0]
    return int((logits.argmax(dim=1) == labels).sum())
