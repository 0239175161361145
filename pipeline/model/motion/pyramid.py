"""Maps of a frame for dense motion: keys and context at stride 8, features and texture at stride 4."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.model.architecture import (
    CONTEXT_CHANNELS,
    FINE_CHANNELS,
    MATCH_CHANNELS,
    PICTURE,
    TEXTURE_CHANNELS,
)
from pipeline.model.motion.geometry import doubled
from pipeline.model.motion.texture import Texture


class MotionPyramid(nn.Module):
    """Merges the stages of the backbone from coarse to fine.

    Args:
        channels: Channels of the backbone, by stage.
    """

    def __init__(self, channels: Mapping[str, int]) -> None:
        super().__init__()
        self.lateral = nn.ModuleDict(
            {stage: nn.Conv2d(channels[stage], CONTEXT_CHANNELS, 1) for stage in ("layer2", "layer3")}
        )
        self.smooth = nn.Conv2d(CONTEXT_CHANNELS, CONTEXT_CHANNELS, 3, padding=1, groups=CONTEXT_CHANNELS)
        self.match = nn.Conv2d(CONTEXT_CHANNELS, MATCH_CHANNELS, 1)
        self.edges = nn.Conv2d(channels["layer1"], FINE_CHANNELS, 1)
        self.coarse = nn.Conv2d(CONTEXT_CHANNELS, FINE_CHANNELS, 1)
        self.texture = Texture()
        # restores the sub-cell position of edges, which the pooling before layer1 removes
        self.detail = nn.Conv2d(4 * TEXTURE_CHANNELS, FINE_CHANNELS, 1)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Converts maps of the backbone to those of ``MOTION_STAGES``.

        ``context`` ``(B, 96, h/2, w/2)``; ``match`` ``(B, 64, h/2, w/2)`` of unit length at each position,
        so that products are cosines; ``fine`` ``(B, 64, h, w)``: 32 channels of unit length, then the
        texture, see ``unpacked``; ``h x w`` at stride 4.
        """
        x = self.lateral["layer2"](features["layer2"]) + doubled(self.lateral["layer3"](features["layer3"]))
        context = x + self.smooth(F.relu(x))
        match = F.normalize(self.match(context), dim=1, eps=1e-4)
        texture = self.texture(features[PICTURE])
        fine = self.edges(features["layer1"]) + self.detail(texture) + doubled(self.coarse(context))
        fine = torch.cat((F.normalize(fine, dim=1, eps=1e-4), texture), dim=1)
        return {"context": F.relu(context), "match": match, "fine": fine}


def unpacked(fine: Tensor) -> tuple[Tensor, Tensor]:
    """Fine features ``(n, 32, h, w)`` and texture ``(n, 8, 2 h, 2 w)`` of cached maps ``(n, 64, h, w)``."""
    return fine[:, :FINE_CHANNELS], F.pixel_shuffle(fine[:, FINE_CHANNELS:], 2)
