"""Places of a grid in pixels, warping by a flow, and correlation with the places around."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def places(size: Sequence[int], stride: int, like: Tensor) -> Tensor:
    """Centres of the cells of a grid in pixels from the middle of the picture, ``(2, rows, columns)``: x, y.

    Args:
        size: Rows and columns of the grid.
        stride: Pixels from cell to cell.
        like: Gives the device.
    """
    rows, columns = size
    y = (torch.arange(rows, device=like.device, dtype=torch.float32) - (rows - 1) / 2) * stride
    x = (torch.arange(columns, device=like.device, dtype=torch.float32) - (columns - 1) / 2) * stride
    return torch.stack((x.expand(rows, columns), y[:, None].expand(rows, columns)))


def warp(maps: Tensor, flow: Tensor, stride: int) -> Tensor:
    """Maps of the past, brought to where the new frame has their content; zeros from outside the picture.

    Args:
        maps: ``(n, C, h, w)`` of the past frame.
        flow: ``(n, 2, h, w)`` float32, from new to past, in pixels.
        stride: Pixels from cell to cell.
    """
    rows, columns = maps.shape[-2:]
    where = places((rows, columns), stride, flow) + flow
    x, y = where[:, 0] * (2 / (columns * stride)), where[:, 1] * (2 / (rows * stride))
    grid = torch.stack((x, y), dim=-1)  # a place in half precision would be off by a pixel
    found = F.grid_sample(maps.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return found.to(maps.dtype)


def doubled(maps: Tensor) -> Tensor:
    """Maps ``(n, C, h, w)`` at twice the resolution, ``(n, C, 2 h, 2 w)``."""
    return F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)


def local_correlation(here: Tensor, there: Tensor, radius: int) -> Tensor:
    """Dot products of each place with the places around it in another map.

    A product of whole rows, of which only a band is used, is faster everywhere than one slice for each
    offset: the band is cut out by padding each row and reading it with another row length.

    Args:
        here: ``(n, C, h, w)``.
        there: The same shape.
        radius: ``r``, in cells.

    Returns:
        ``(n, (2 r + 1) ** 2, h, w)``, offsets row by row; zeros beyond the border.
    """
    n, channels, rows, columns = here.shape
    side = 2 * radius + 1
    wide = columns + 2 * radius
    around = F.pad(there, (radius, radius, radius, radius))
    queries = here.permute(0, 2, 3, 1).reshape(n, 1, rows, columns, channels)
    keys = torch.stack([around[:, :, dy : dy + rows] for dy in range(side)], dim=1)
    products = queries @ keys.permute(0, 1, 3, 2, 4)  # (n, side, rows, columns, wide)
    flat = F.pad(products.reshape(n, side, rows, columns * wide), (0, columns))
    band = flat.reshape(n, side, rows, columns, wide + 1)[..., :side]
    return band.permute(0, 1, 4, 2, 3).reshape(n, side * side, rows, columns)
