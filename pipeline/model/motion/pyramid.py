"""What dense motion keeps of a frame: keys at stride 8, fine features at stride 4, and context."""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.model.architecture import STEM
from pipeline.model.motion.geometry import doubled

CONTEXT_CHANNELS = 96
MATCH_CHANNELS = 64
FINE_CHANNELS = 32
MOTION_STAGES = ("context", "match", "fine")
"""Names of the maps beside those of the backbone."""


class MotionPyramid(nn.Module):
    """Brings the stages of the backbone together from the coarsest down.

    Args:
        channels: Of the backbone, by stage.
    """

    def __init__(self, channels: Mapping[str, int]) -> None:
        super().__init__()
        self.lateral = nn.ModuleDict(
            {
                stage: nn.Conv2d(channels[stage], CONTEXT_CHANNELS, 1)
                for stage in ("layer2", "layer3", "layer4")
            }
        )
        self.smooth = nn.Conv2d(CONTEXT_CHANNELS, CONTEXT_CHANNELS, 3, padding=1, groups=CONTEXT_CHANNELS)
        self.match = nn.Conv2d(CONTEXT_CHANNELS, MATCH_CHANNELS, 1)
        self.edges = nn.Conv2d(channels["layer1"], FINE_CHANNELS, 1)
        # the stem's pooling hides where within a cell an edge lies: here its four places are told apart
        self.detail = nn.Conv2d(64, FINE_CHANNELS, 2, stride=2)
        self.coarse = nn.Conv2d(CONTEXT_CHANNELS, FINE_CHANNELS, 1)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Maps of the backbone to those of ``MOTION_STAGES``.

        ``context`` ``(B, 96, h/2, w/2)``; ``match`` ``(B, 64, h/2, w/2)`` and ``fine`` ``(B, 32, h, w)`` of
        length 1 at each place, so that products are cosines; ``h x w`` at stride 4.
        """
        x = self.lateral["layer4"](features["layer4"])
        for stage in ("layer3", "layer2"):
            x = self.lateral[stage](features[stage]) + doubled(x)
        context = x + self.smooth(F.relu(x))
        match = F.normalize(self.match(context), dim=1, eps=1e-4)
        fine = self.edges(features["layer1"]) + self.detail(features[STEM]) + doubled(self.coarse(context))
        return {"context": F.relu(context), "match": match, "fine": F.normalize(fine, dim=1, eps=1e-4)}
