"""Trains and scores any network that takes clips and a mask: the same loop for all variants."""

import math
import time
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.temporal.budget import Budget
from benchmarks.temporal.variants import Variant
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.training.correspondence import match_loss
from pipeline.training.motion import reverse_label
from pipeline.training.optimise import AveragedModel, learning_rate, parameter_groups
from pipeline.training.pictures import seeded
from pipeline.training.samples import Clips

SPEEDS = (0.4, 1.0, 2.0)
_UNTIMED_STEPS = 2  # libraries load and convolutions are tuned in these
_NO_PAST, _LESS_PAST = 0.03, 0.1


@dataclass(frozen=True)
class Trained:
    """The averaged weights of a run, in evaluation mode, and what they cost."""

    model: nn.Module
    steps: int
    clips: int
    seconds: float
    loss: float


def train(model: nn.Module, variant: Variant, budget: Budget) -> Trained:
    """Trains until the budget is used up, with AdamW, warm-up and cosine; bfloat16 on CUDA.

    Raises:
        FloatingPointError: the loss is no longer finite.
    """
    device = torch.device(budget.device)
    model = model.to(device).to(memory_format=torch.channels_last).train()
    average = AveragedModel(model, decay=0.999)
    optimizer = torch.optim.AdamW(
        parameter_groups(model, weight_decay=0.05), betas=(0.9, 0.99), fused=device.type == "cuda"
    )
    source = budget.training_clips(variant.num_past, variant.speeds)
    step, started, seconds, recent = 0, time.perf_counter(), 0.0, math.nan
    while (progress := _progress(budget, step, seconds)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(budget.rate, step, budget.warmup, progress)
        cost = loss(model, source.clips(budget.batch), _past(variant.num_past, budget, step), variant)
        cost.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        average.update(model, step)
        step += 1
        # reading the loss waits for the device, so that the clock counts work done
        if step <= _UNTIMED_STEPS or step % 10 == 0:
            recent = float(cost.detach())
            if not math.isfinite(recent):
                raise FloatingPointError(f"the loss is {recent} at step {step}")
        if step == _UNTIMED_STEPS:
            started = time.perf_counter()
        seconds = time.perf_counter() - started if step > _UNTIMED_STEPS else 0.0
    return Trained(average.model, step, step * budget.batch, seconds, recent)


def loss(model: nn.Module, clips: Clips, past: Tensor, variant: Variant) -> Tensor:
    """Cross entropy, plus the match loss for networks with attention over places."""
    logits, info = _forward(model, clips.frames, past)
    total = F.cross_entropy(logits, clips.labels, label_smoothing=0.02)
    if variant.match_weight and clips.windows is not None and "attention_weights" in info:
        grid = cast(tuple[int, int], tuple(info["feat_t"].shape[-2:]))
        size = cast(tuple[int, int], tuple(clips.frames.shape[-2:]))
        scales = _key_grids(cast(TemporalKVQResNetCBAM, model), info, grid, size)
        matched = match_loss(info["attention_weights"], clips.windows, past, grid, scales)
        total = total + variant.match_weight * matched
    return total


@torch.no_grad()
def score(model: nn.Module, variant: Variant, budget: Budget) -> dict[str, float]:
    """Accuracy on held-out pictures by speed, and controls at 1x.

    Returns:
        ``0.4x``, ``1x``, ``2x``; ``single_frame``, the newest frame in all places, which must sit at chance;
        ``reversed``, the share of clips played backwards that get the reversed label.
    """
    source = budget.held_out_clips(variant.num_past)
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


def _progress(budget: Budget, step: int, seconds: float) -> float:
    by_step = step / budget.steps if budget.steps else 0.0
    by_time = seconds / (60 * budget.minutes) if budget.minutes else 0.0
    return max(by_step, by_time)


def _past(num_past: int, budget: Budget, step: int) -> Tensor:
    """Which past frames each clip may show, ``(B, T)``; as at the start of a stream, the oldest go first."""
    device = torch.device(budget.device)
    generator = seeded(device, budget.seed, 3, step)
    chance = torch.rand((budget.batch, 1), generator=generator, device=device)
    fewer = torch.randint(1, max(num_past, 2), (budget.batch, 1), generator=generator, device=device)
    depth = torch.where(chance < _NO_PAST + _LESS_PAST, fewer.clamp_max(num_past), num_past)
    depth = torch.where(chance < _NO_PAST, 0, depth)
    return torch.arange(num_past, 0, -1, device=device) <= depth


def _forward(
    model: nn.Module, frames: Tensor, past: Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    images = [frame.contiguous(memory_format=torch.channels_last) for frame in frames.unbind(dim=1)]
    with torch.autocast(frames.device.type, torch.bfloat16, enabled=frames.device.type == "cuda"):
        logits, info = model(*images, past_mask=past)
    return logits.float(), info


def _hits(model: nn.Module, frames: Tensor, labels: Tensor) -> int:
    return int((_forward(model, frames)[0].argmax(dim=1) == labels).sum())


def _key_grids(
    model: TemporalKVQResNetCBAM, info: dict[str, Tensor], grid: tuple[int, int], size: tuple[int, int]
) -> list[tuple[int, int]]:
    """Rows and columns of each scale that keys come from."""
    if info["k_t_minus_1"].shape[1] == math.prod(grid):
        return [grid]  # one scale on the queries' grid, also where the backbone was cut off
    return [model.architecture.grid(scale, size) for scale in model.architecture.scales]
