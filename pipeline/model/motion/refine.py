"""Refines flow by the correlation around its target."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.motion.geometry import local_correlation, signed_log, warp
from pipeline.model.motion.lucas_kanade import STEP_CHANNELS, WINDOWS, Steps

_NARROWEST, _WIDEST = -4.0, 4.5  # limits of the log of the expected error in pixels


class Refined(NamedTuple):
    """The flow after a round of refinement.

    Attributes:
        flow: ``(n, 2, h, w)`` float32, pixels.
        log_error: Logarithm of the expected error in pixels, ``(n, h, w)`` float32.
        hidden: State passed to the next round, ``(n, hidden, h, w)``.
        gates: Factor for the step of each window, 0 to 1, ``(n, W, h, w)``; None without Lucas-Kanade steps.
    """

    flow: Tensor
    log_error: Tensor
    hidden: Tensor
    gates: Tensor | None = None

    def stepped(self, steps: Steps) -> "Refined":
        """A copy whose flow includes the Lucas-Kanade steps, scaled by the gates."""
        assert self.gates is not None
        return self._replace(flow=self.flow + (steps.pixels * self.gates[:, None]).sum(dim=2))


class Refiner(nn.Module):
    """Three convolutions over the correlation around the current flow; shared by all past frames.

    Args:
        stride: Cell size in pixels.
        radius: Radius of the correlation, in cells.
        context: Channels of the context map.
        width: Channels of the inner layers.
        hidden: Channels passed from round to round.
        dilations: Dilations of the three convolutions.
        steps: Also predict gates for Lucas-Kanade steps.
    """

    def __init__(
        self,
        stride: int,
        radius: int,
        context: int,
        width: int,
        hidden: int,
        dilations: tuple[int, int, int],
        *,
        steps: bool = False,
    ) -> None:
        super().__init__()
        self.stride, self.radius = stride, radius
        inputs = (2 * radius + 1) ** 2 + 4 + context + hidden + steps * STEP_CHANNELS
        sizes = (inputs, width, width, hidden)
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=d, dilation=d)
            for a, b, d in zip(sizes[:-1], sizes[1:], dilations, strict=True)
        )
        self.out = nn.Conv2d(hidden, 3 + steps * len(WINDOWS), 3, padding=1)
        nn.init.zeros_(self.out.weight)
        if self.out.bias is not None:
            nn.init.zeros_(self.out.bias)

    def forward(
        self,
        here: Tensor,
        there: Tensor,
        so_far: Refined,
        still: Tensor,
        context: Tensor,
        steps: Steps | None = None,
    ) -> Refined:
        """One round; no gradient flows back into the input flow.

        Args:
            here: Features of the new frame, ``(n, C, h, w)``, of unit length at each position.
            there: Features of the past frame.
            so_far: Result of the previous round.
            still: Flow of the static scene, ``(n, 2, h, w)``.
            context: ``(n, context, h, w)``.
            steps: Lucas-Kanade steps from the same flow; None if there are none.
        """
        flow = so_far.flow.detach()
        around = local_correlation(here, warp(there, flow, self.stride), self.radius)
        motion = signed_log(torch.cat((flow, flow - still), dim=1) / self.stride).to(around.dtype)
        seen = [around, motion, context, so_far.hidden]
        if steps is not None:
            seen.append(steps.evidence.to(around.dtype))
        x = torch.cat(seen, dim=1)
        for layer in self.layers:
            x = F.relu(layer(x))
        change = self.out(x).float()
        flow = flow + self.stride * change[:, :2]
        refined = Refined(flow, change[:, 2].clamp(_NARROWEST, _WIDEST), x)
        return refined if steps is None else refined._replace(gates=change[:, 3:].sigmoid()).stepped(steps)
