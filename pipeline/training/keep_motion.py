"""Preserves dense motion while the backbone learns other classes."""

from copy import deepcopy

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.model.network import TemporalKVQResNetCBAM

_OF_BATCH = 4  # one clip of so many is compared: it costs two more passes


class KeepMotion:
    """Compares dense motion of a network that learns with that of the network as it was at the start."""

    def __init__(self, model: TemporalKVQResNetCBAM) -> None:
        """Copies the network.

        Args:
            model: With dense motion.
        """
        self._before = deepcopy(model).eval().requires_grad_(False)

    def loss(self, model: TemporalKVQResNetCBAM, frames: Tensor, past: Tensor) -> Tensor:
        """How far its flow and mask are from what they were, a scalar; 0 if they are the same.

        Args:
            model: The network that learns.
            frames: Normalised clips, ``(B, T + 1, 3, height, width)``; a part of them is compared.
            past: ``(B, T)`` bool: which past frames may be seen.
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
