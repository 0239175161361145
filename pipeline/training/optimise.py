"""Optimiser settings: weight decay, learning-rate schedule, averaged weights."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pipeline.model.resnet import ResNetCBAM
from pipeline.model.torchvision_models import models

UNDECAYED = ("table", "slots", "temperature", "texture")


def parameter_groups(
    model: nn.Module, weight_decay: float, backbone_rate: float = 1.0
) -> list[dict[str, Any]]:
    """Splits parameters by weight decay (none for norms, biases, embeddings) and by learning rate.

    Args:
        model: The model; parameters that need no gradient are skipped.
        weight_decay: Weight decay of the decayed parameters.
        backbone_rate: Learning rate of every ResNet in the model, relative to the others.

    Returns:
        Groups for an optimiser; ``rate`` in each multiplies the learning rate.
    """
    backbones = (module for module in model.modules() if isinstance(module, models.ResNet))
    slow = {id(parameter) for backbone in backbones for parameter in backbone.parameters()}
    groups: list[dict[str, Any]] = [
        {"params": [], "weight_decay": decay, "rate": rate}
        for rate in (1.0, backbone_rate)
        for decay in (weight_decay, 0.0)
    ]
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_free = parameter.ndim < 2 or any(word in name.lower() for word in UNDECAYED)
            groups[2 * (id(parameter) in slow) + is_free]["params"].append(parameter)
    return [group for group in groups if group["params"]]


def learning_rate(highest: float, step: int, warmup_steps: int, progress: float) -> float:
    """Linear warm-up by steps, then cosine decay to 1 % over ``progress`` (0 to 1) of the budget."""
    cosine = 0.505 + 0.495 * math.cos(math.pi * min(max(progress, 0.0), 1.0))
    return highest * min(1.0, (step + 1) / max(warmup_steps, 1)) * cosine


def average_of(model: nn.Module) -> AveragedModel:
    """A copy of the model in evaluation mode, for the exponential average of its weights and statistics."""
    average = AveragedModel(model, use_buffers=True)
    average.n_averaged.fill_(1)  # start from the current weights instead of replacing them
    return average.eval().requires_grad_(False)


def update_average(average: AveragedModel, model: nn.Module, decay: float, step: int) -> None:
    """Moves the average towards the model; the decay grows from a small value to ``decay``."""
    now = min(decay, (1 + step) / (10 + step))
    average.multi_avg_fn = get_ema_multi_avg_fn(now)  # type: ignore[no-untyped-call]
    average.update_parameters(model)


def compile_features(
    backbones: Sequence[ResNetCBAM], probe: Callable[[], None], notify: Callable[[str], None]
) -> bool:
    """Compiles the ``features`` of backbones, or leaves them unchanged if this machine can't.

    Only the backbone is compiled: it takes most of the time, and attention and loss change their shapes.

    Args:
        backbones: Backbones of the model that the probe runs.
        probe: Runs one forward and backward pass; raises on failure.
        notify: Receives the message.

    Returns:
        Whether the backbones are compiled.
    """
    for backbone in backbones:
        backbone.__dict__["features"] = torch.compile(backbone.features, dynamic=False)
    try:
        probe()
    except Exception as error:
        for backbone in backbones:
            del backbone.__dict__["features"]
        reason = (str(error).strip().splitlines() or [""])[0][:120]
        notify(f"torch.compile failed ({type(error).__name__}: {reason}): training without it")
        return False
    notify("backbone compiled")
    return True
