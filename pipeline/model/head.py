"""Pools the tokens of all positions into one vector for the classifier."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CELLS = 6
_CHANNELS = 32
_WIDTH = 128


class GridHead(nn.Module):
    """A perceptron over the tokens of a 6x6 grid, with separate weights for each cell.

    A pattern such as "up on the left, down on the right" is one weighted sum of cells; a mean over
    positions can't express it. Other grids are averaged down (or repeated up) to 6x6, so that no weight
    depends on the frame size.

    Args:
        dim: ``D``.

    Attributes:
        width: Length of the output vector.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.width = _WIDTH
        self.place = nn.Linear(dim, _CHANNELS)
        self.mix = nn.Linear(_CELLS * _CELLS * _CHANNELS, _WIDTH)

    def forward(self, tokens: Tensor, rows: int, columns: int) -> Tensor:
        """Pools tokens ``(B, rows * columns, D)`` into vectors ``(B, width)``."""
        places = F.gelu(self.place(tokens))
        if (rows, columns) != (_CELLS, _CELLS):
            down, across = (_shares(cells, places.device) for cells in (rows, columns))
            shares = down[:, None, :, None] * across[None, :, None, :]  # torch.kron, which OpenVINO lacks
            shares = shares.flatten(2).flatten(0, 1)
            places = shares.to(places.dtype) @ places
        return F.gelu(self.mix(places.flatten(1)))


def _shares(cells: int, device: torch.device) -> Tensor:
    """``(6, cells)``: for a side cut into ``cells`` cells, the share of each sixth that lies in each cell.

    Created on the device: a copy from the host can't be part of a CUDA graph.
    """
    ends = torch.arange(1, _CELLS + 1, device=device)[:, None] / _CELLS
    other = torch.arange(1, cells + 1, device=device)[None, :] / cells
    overlap = torch.minimum(ends, other) - torch.maximum(ends - 1 / _CELLS, other - 1 / cells)
    return overlap.clamp_min(0) * _CELLS
