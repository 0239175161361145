"""Grid coordinates, warping by flow, and local correlation."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def places(size: Sequence[int], stride: int, like: Tensor) -> Tensor:
    """Centres of the cells of a grid in pixels from the image centre, ``(2, rows, columns)``: x, y.

    Args:
        size: Rows and columns of the grid.
        stride: Cell size in pixels.
        like: A tensor on the wanted device.
    """
    rows, columns = size
    y = (torch.arange(rows, device=like.device, dtype=torch.float32) - (rows - 1) / 2) * stride
    x = (torch.arange(columns, device=like.device, dtype=torch.float32) - (columns - 1) / 2) * stride
    return torch.stack((x.expand(rows, columns), y[:, None].expand(rows, columns)))


def warp(maps: Tensor, flow: Tensor, stride: int) -> Tensor:
    """Warps maps of a past frame onto the new frame; positions outside the image give zeros.

    Args:
        maps: ``(n, C, h, w)`` of the past frame.
        flow: ``(n, 2, h, w)`` float32, from new to past, in pixels.
        stride: Cell size in pixels.
    """
    rows, columns = maps.shape[-2:]
    where = places((rows, columns), stride, flow) + flow
    x, y = where[:, 0] * (2 / (columns * stride)), where[:, 1] * (2 / (rows * stride))
    grid = torch.stack((x, y), dim=-1)  # float32: in half precision positions are off by a pixel
    found = F.grid_sample(maps.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return found.to(maps.dtype)


def signed_log(x: Tensor) -> Tensor:
    """The inverse hyperbolic sine: close to ``x`` if it is small, logarithmic if it is large.

    Written out, because OpenVINO has no fast kernel for ``torch.asinh``.
    """
    return x.sign() * (x.abs() + (x.square() + 1).sqrt()).log()


def doubled(maps: Tensor) -> Tensor:
    """Maps ``(n, C, h, w)`` at twice the resolution, ``(n, C, 2 h, 2 w)``."""
    return F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)


def local_correlation(here: Tensor, there: Tensor, radius: int) -> Tensor:
    """Dot products of each position with its neighbourhood in another map.

    The positions of a block share a neighbourhood of twice the block's side. One matrix product per
    block, from which each position gathers its window, is faster on all backends than one slice per
    offset.

    Args:
        here: ``(n, C, h, w)``.
        there: The same shape.
        radius: ``r`` in cells, at least 1.

    Returns:
        ``(n, (2 r + 1) ** 2, h, w)``, offsets row by row; zeros beyond the border.
    """
    n, channels, rows, columns = here.shape
    side, window = 2 * radius, (2 * radius + 1) ** 2  # side of a block, number of cells in a window
    down, across = -(-rows // side), -(-columns // side)
    low, right = down * side - rows, across * side - columns
    blocks = F.pad(here, (0, right, 0, low)).permute(0, 2, 3, 1)
    blocks = blocks.reshape(n, down, side, across, side * channels).transpose(2, 3)
    around = F.pad(there, (radius, radius + right, radius, radius + low)).permute(0, 2, 3, 1)
    around = around.reshape(n, down + 1, side, across + 1, side * channels)
    around = torch.cat((around[:, :-1], around[:, 1:]), dim=2)
    around = torch.cat((around[:, :, :, :-1], around[:, :, :, 1:]), dim=4).transpose(2, 3)
    queries = blocks.reshape(n, down * across, side**2, channels)
    keys = around.reshape(n, down * across, 4 * side**2, channels)
    products = (queries @ keys.transpose(2, 3)).flatten(2)
    picked = products.index_select(2, _windows(radius, products.device))
    places_first = picked.view(n, down, across, side, side, window)
    found = places_first.permute(0, 5, 1, 3, 2, 4).reshape(n, window, down * side, across * side)
    return found[:, :, :rows, :columns]


def _windows(radius: int, device: torch.device) -> Tensor:
    """Indices of each position's window in the flattened products of a block and its neighbourhood."""
    block, window = (torch.arange(count, device=device) for count in (2 * radius, 2 * radius + 1))
    side = 2 * radius
    place = block[:, None] * side + block  # (side, side)
    top_left = block[:, None] * 2 * side + block
    offset = window[:, None] * 2 * side + window
    cells = place[:, :, None, None] * 4 * side**2 + top_left[:, :, None, None] + offset
    return cells.flatten()
