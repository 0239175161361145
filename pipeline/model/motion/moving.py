"""The moving mask: flow that the camera's motion does not explain."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.motion.geometry import doubled, signed_log

EVIDENCE_CHANNELS = 6
"""For each past frame: residual x and y, its length, its length divided by the expected error, log of the
expected error, agreement of the features along the camera motion."""
_WIDTH = 48
_FINE = 32


class MovingHead(nn.Module):
    """Combines the evidence of all past frames, at full resolution and in a wide neighbourhood.

    Args:
        num_past: ``T``.
        hidden: Hidden channels of the refinement for each past frame.
        fine: Channels of the new frame's fine features.
        context: Channels of its context map, at half the resolution.
    """

    def __init__(self, num_past: int, hidden: int, fine: int, context: int) -> None:
        super().__init__()
        inputs = num_past * (hidden + EVIDENCE_CHANNELS + 1) + fine
        self.enter = nn.Conv2d(inputs, _FINE, 1)
        self.down = nn.Conv2d(_FINE, _WIDTH, 3, stride=2, padding=1)
        self.scene = nn.Conv2d(context, _WIDTH, 1)
        self.around = nn.ModuleList(nn.Conv2d(_WIDTH, _WIDTH, 3, padding=d, dilation=d) for d in (1, 2, 4))
        self.up = nn.Conv2d(_WIDTH, _FINE, 1)
        self.last = nn.Conv2d(_FINE, _FINE, 3, padding=1)
        self.out = nn.Conv2d(_FINE, 1, 1)

    def forward(self, evidence: Tensor, fine: Tensor, context: Tensor) -> Tensor:
        """Logits ``(B, h, w)`` float32.

        Args:
            evidence: ``(B, T * (hidden + EVIDENCE_CHANNELS + 1), h, w)``; zeros for a slot without a frame.
            fine: ``(B, fine, h, w)``.
            context: ``(B, context, h / 2, w / 2)``.
        """
        x = F.relu(self.enter(torch.cat((evidence, fine), dim=1)))
        wide = F.relu(self.down(x) + self.scene(context))
        for layer in self.around:
            wide = wide + F.relu(layer(wide))
        x = x + doubled(self.up(wide))
        x = x + F.relu(self.last(F.relu(x)))
        logits: Tensor = self.out(F.relu(x))[:, 0].float()
        return logits


def evidence(residual: Tensor, log_error: Tensor, along_camera: Tensor) -> Tensor:
    """Evidence of one or more past frames, ``(n, EVIDENCE_CHANNELS, h, w)``.

    Args:
        residual: Flow minus the flow of the camera motion, ``(n, 2, h, w)`` pixels.
        log_error: Logarithm of its expected error, ``(n, h, w)``.
        along_camera: Agreement of features along the camera motion, ``(n, 1, h, w)``.
    """
    length = (residual.square().sum(dim=1, keepdim=True) + 1e-6).sqrt()
    error = log_error[:, None]
    parts = (signed_log(residual), signed_log(length), torch.log1p(length * (-error).exp()), error / 4)
    return torch.cat((*parts, along_camera.float()), dim=1)
