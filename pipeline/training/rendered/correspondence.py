"""Ground-truth correspondences of rendered clips, for the loss of the attention.

The labels alone do not train the attention to find the right position. This loss does, so that the attention
weights can be read as a motion field.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def past_places(windows: Tensor, rows: int, columns: int, cells: tuple[int, int] | None = None) -> Tensor:
    """Positions of the cells of the newest frame's grid in each past frame.

    Args:
        windows: ``(n, T + 1, 2, 3)`` affine maps from screen (-1 to 1) to image, oldest frame first.
        rows: Rows of the grid.
        columns: Columns of the grid.
        cells: Rows and columns of the past frames' grid; None for the same.

    Returns:
        Screen positions x, y in cells of the past frames, with 0 at the centre of the first cell,
        ``(n, T, rows * columns, 2)``.
    """
    turn, shift = windows[..., :2], windows[..., 2]
    y, x = torch.meshgrid(_centres(rows, windows), _centres(columns, windows), indexing="ij")
    here = torch.stack((x, y), dim=-1).view(-1, 2)
    picture = here @ turn[:, -1].mT + shift[:, -1, None]
    before = (picture[:, None] - shift[:, :-1, None]) @ torch.linalg.inv(turn[:, :-1]).mT
    high, wide = cells or (rows, columns)
    size = torch.tensor([wide, high], dtype=before.dtype, device=before.device)
    places: Tensor = (before + 1) / 2 * size - 0.5
    return places


def match_loss(
    weights: Tensor,
    windows: Tensor,
    past: Tensor,
    grid: tuple[int, int],
    scales: Sequence[tuple[int, int]] | None = None,
) -> Tensor:
    """Cross entropy between attention and the true positions, over slots and positions in view.

    Args:
        weights: Attention, mean over heads, ``(n, S, T * S_k)``, slots oldest first.
        windows: As for ``past_places``.
        past: ``(n, T)`` bool: which past frames the model saw.
        grid: Rows and columns of the newest frame, ``rows * columns = S``.
        scales: Rows and columns of each scale of the past frames, whose cells add up to ``S_k``; None for
            only ``grid``. Each scale is scored separately.

    Returns:
        The mean, a scalar.
    """
    grids = [grid] if scales is None else list(scales)
    n, positions, _ = weights.shape
    slots = weights.float().view(n, positions, past.shape[1], -1).transpose(1, 2)
    parts = torch.split(slots, [rows * columns for rows, columns in grids], dim=-1)
    return torch.stack(
        [_scale_loss(part, windows, past, grid, cells) for part, cells in zip(parts, grids, strict=True)]
    ).mean()


def _scale_loss(
    slots: Tensor, windows: Tensor, past: Tensor, grid: tuple[int, int], cells: tuple[int, int]
) -> Tensor:
    """The loss of one scale's weights ``(n, T, S, cells)``."""
    places = past_places(windows, *grid, cells)
    share_y = _shares(places[..., 1], cells[0])
    share_x = _shares(places[..., 0], cells[1])
    target = (share_y[..., :, None] * share_x[..., None, :]).flatten(-2)
    inside = (target.sum(dim=-1) > 0.99) & past[:, :, None]
    slots = slots / slots.sum(dim=-1, keepdim=True).clamp_min(1e-6)
    cost = -(target * slots.clamp_min(1e-6).log()).sum(dim=-1)
    return (cost * inside).sum() / inside.sum().clamp_min(1)


def _centres(count: int, like: Tensor) -> Tensor:
    cells = torch.arange(count, device=like.device, dtype=like.dtype)
    return (2 * cells + 1) / count - 1


def _shares(position: Tensor, count: int) -> Tensor:
    """Linear weights of a position for the two nearest of ``count`` cells; 0 for the others."""
    cells = torch.arange(count, device=position.device, dtype=position.dtype)
    return (1 - (position[..., None] - cells).abs()).clamp_min(0)
