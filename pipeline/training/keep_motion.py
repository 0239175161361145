"""Preserves dense motion while the backbone learns other classes."""

from copy import deepcopy

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.model.network import TemporalKVQResNetCBAM

_OF_BATCH = 4  # one clip in 4 is compared, because it needs two more passes


class KeepMotion:
    """Compares dense motion of a network in training with that of its initial weights."""

    def __init__(self, model: TemporalKVQResNetCBAM) -> None:
        """Copies the network.

        Args:
            model: With dense motion.
        """
        self._before = deepcopy(model).eval().requires_grad_(False)

    def loss(self, model: TemporalKVQResNetCBAM, frames: Tensor, past: Tensor) -> Tensor:
        """Deviation of flow and mask from the initial network, a scalar; 0 if equal.

        Args:
            model: The network in training.
            frames: Normalised clips, ``(B, T + 1, 3, height, width)``; only some are compared.
            past: ``(B, T)`` bool: which past frames are visible.
        """
        count = -(-len(frames) // _OF_BATCH)
        frames, past = frames[:count], past[:count]
        with torch.no_grad():
            was, steps_before = self._before.motion_trace(frames, past)
        _, steps = model.motion_trace(frames, past)
        assert steps.moving_logits is not None
        wanted = was.moving.float()
        entropy = F.binary_cross_entropy_with_logits(steps.moving_logits, wanted, reduction="none")
        least = F.binary_cross_entropy(wanted, wanted, reduction="none")
        total = (entropy - least).mean()
        for now, before in zip(steps.rounds, steps_before.rounds, strict=True):
            apart = (now.flow - before.flow).square().sum(dim=1)
            total = total + (apart / (before.log_error.exp() + 0.5).square() + 1e-6).sqrt().mean() - 1e-3
        return total
