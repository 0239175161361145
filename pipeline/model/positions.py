"""Learned position embeddings, initialised as a sine and cosine code."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Positions(nn.Module):
    """One learned vector for each cell of a grid.

    The initial value is a sine and cosine code of the row and the column, with frequencies from an eighth
    of a period across the image to three periods. It is repeated for each head, so that every head has
    the full position. It depends only on the position in the *image*: grids of different scales agree,
    and the difference of two codes encodes a displacement.

    Args:
        grid: Rows and columns of the table.
        dim: ``D``.
        num_heads: ``H``.
    """

    def __init__(self, grid: tuple[int, int], dim: int, num_heads: int) -> None:
        super().__init__()
        self.grid = grid
        self.table = nn.Parameter(_sine_code(grid, dim // num_heads).repeat(1, num_heads))

    def forward(self, rows: int, columns: int) -> Tensor:
        """Embeddings ``(rows * columns, D)``; interpolated for a grid of another size."""
        if (rows, columns) == self.grid:
            return self.table
        picture = self.table.T.reshape(1, -1, *self.grid)
        picture = F.interpolate(picture, size=(rows, columns), mode="bilinear", align_corners=False)
        return picture.flatten(2)[0].T


def _sine_code(grid: tuple[int, int], dim: int) -> Tensor:
    """``(rows * columns, dim)``: sines and cosines of the centred row and column, both in -1 ... 1."""
    frequencies = torch.logspace(math.log10(math.pi / 8), math.log10(3 * math.pi), math.ceil(dim / 4))
    rows, columns = ((torch.arange(size) + 0.5) / size * 2 - 1 for size in grid)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    angles = [place.reshape(-1, 1) * frequencies for place in (y, x)]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], dim=1)[:, :dim]
