"""The parts of an optimiser step that are policy: what decays, how fast to learn, which weights to keep."""

import math
from collections.abc import Callable
from copy import deepcopy
from typing import ParamSpec, TypeVar

import torch
from torch import nn

P = ParamSpec("P")
R = TypeVar("R")

UNDECAYED = ("table", "slots", "temperature")


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Splits parameters in those with weight decay and those without (norms, biases, embeddings)."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        is_free = parameter.ndim < 2 or any(word in name.lower() for word in UNDECAYED)
        (free if is_free else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def learning_rate(highest: float, step: int, warmup_steps: int, progress: float) -> float:
    """Linear warm-up by steps, cosine to a hundredth by ``progress`` (0 to 1) of the budget."""
    cosine = 0.505 + 0.495 * math.cos(math.pi * min(max(progress, 0.0), 1.0))
    return highest * min(1.0, (step + 1) / max(warmup_steps, 1)) * cosine


class AveragedModel:
    """An exponential average of a model's weights and batch-norm statistics.

    Attributes:
        model: the averaged copy, in evaluation mode.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Copies the model; the average is short at first and reaches ``decay`` after a while."""
        self.model = deepcopy(model).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Moves the average towards the model's present weights."""
        weight = 1 - min(self._decay, (1 + step) / (10 + step))
        averages, news = [], []
        mine = self.model.state_dict(keep_vars=True)
        for name, new in model.state_dict(keep_vars=True).items():
            if new.is_floating_point():
                averages.append(mine[name].data)
                news.append(new.data)
            else:
                mine[name].data.copy_(new)
        torch._foreach_lerp_(averages, news, weight)


def compiled_or_eager(
    forward: Callable[P, R], probe: Callable[[Callable[P, R]], None], say: Callable[[str], None]
) -> Callable[P, R]:
    """``forward`` through torch.compile, or as it is where this machine cannot compile.

    Args:
        forward: the function to compile.
        probe: runs one forward and backward pass with the function given to it.
        say: takes the message for people.
    """
    compiled: Callable[P, R] = torch.compile(forward, dynamic=False)
    try:
        probe(compiled)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0][:120]
        say(f"torch.compile does not work here ({type(error).__name__}: {reason}): training without it")
        return forward
    return compiled
