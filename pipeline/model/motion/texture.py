"""Texture maps at stride 2 for sub-pixel precision."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.architecture import TEXTURE_CHANNELS
from pipeline.model.attention import full_precision
from pipeline.model.motion.geometry import doubled

_SIDE, _SIGMA = 6, 1.3  # of the filters, in pixels; an even side aligns their centres with those of the cells
_START_FLOOR = 0.1


class Texture(nn.Module):
    """Filters initialised as Gaussian derivatives of luminance and colour, with contrast normalisation.

    A darker or lower-contrast frame has the same texture, down to a noise floor.
    """

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Conv2d(
            3, TEXTURE_CHANNELS, _SIDE, 2, (_SIDE - 2) // 2, bias=False, padding_mode="replicate"
        )
        with torch.no_grad():
            self.filters.weight.copy_(_derivatives())
        self.log_floor = nn.Parameter(torch.tensor(_START_FLOOR).log())

    def forward(self, picture: Tensor) -> Tensor:
        """Texture ``(B, 4 * 8, h, w)`` of frames ``(B, 3, 4 h, 4 w)``: each position packs 2 x 2 cells."""
        with full_precision(picture.device.type):
            found = self.filters(picture).float()
            energy = F.avg_pool2d(found.square().mean(dim=1, keepdim=True), 4)  # at stride 8
            around = F.avg_pool2d(energy, 3, stride=1, padding=1, count_include_pad=False)
            contrast = (doubled(doubled(around)) + (2 * self.log_floor.float()).exp()).sqrt()
            packed: Tensor = F.pixel_unshuffle(found / contrast, 2)
            return packed.to(picture.dtype)


def _derivatives() -> Tensor:
    """``(8, 3, side, side)``: first and second derivatives of luminance, then of red minus blue."""
    line = torch.arange(_SIDE) - (_SIDE - 1) / 2
    y, x = (part / _SIGMA for part in torch.meshgrid(line, line, indexing="ij"))
    bell = (-(x * x + y * y) / 2).exp()
    first = [-x * bell, -y * bell]
    second = [(x * x - 1) * bell, x * y * bell, (y * y - 1) * bell]
    light, red_blue = torch.tensor([1.0, 1.0, 1.0]), torch.tensor([1.0, 0.0, -1.0])
    shapes = [*((shape, light) for shape in first + second), *((shape, red_blue) for shape in first)]
    shapes.append(((x * x + y * y - 2) * bell, red_blue))
    filters: Tensor = torch.stack(
        [colour[:, None, None] * (shape - shape.mean()) for shape, colour in shapes]
    )
    filters /= filters.flatten(1).norm(dim=1)[:, None, None, None]
    return filters
