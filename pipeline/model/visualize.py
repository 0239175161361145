"""Draws attention as an image."""

import math
from pathlib import Path

from torch import Tensor


def visualize_attention(
    attention_weights: Tensor, query_idx: int = 24, save_path: str | Path | None = None, num_past: int = 2
) -> None:
    """Draws the attention of one position of the new frame over each past frame, as heat maps side by side.

    Needs matplotlib (the extra ``plots``).

    Args:
        attention_weights: ``(B, S, T * S_k)`` from ``kqv_info``; the first clip of the batch is drawn.
        query_idx: The position, counted row by row; 24 is the centre of 7 x 7.
        save_path: File to write; None only shows the figure, if a desktop is available.
        num_past: ``T``.

    Raises:
        ValueError: The position does not exist, or the weights are not those of ``num_past`` square grids.
    """
    batch, positions, keys = attention_weights.shape
    side = math.isqrt(keys // num_past)
    if batch == 0 or keys != num_past * side * side:
        raise ValueError(f"weights of shape {(batch, positions, keys)} are not {num_past} square maps")
    if not 0 <= query_idx < positions:
        raise ValueError(f"query_idx {query_idx}: the new frame has positions 0 to {positions - 1}")
    import matplotlib.pyplot as plt

    maps = attention_weights[0, query_idx].detach().float().cpu().numpy().reshape(num_past, side, side)
    figure, axes = plt.subplots(
        1, num_past, figsize=(4.5 * num_past + 1, 4.5), squeeze=False, layout="constrained"
    )
    own = divmod(query_idx, math.isqrt(positions))
    for axis, weights, age in zip(axes[0], maps, range(num_past, 0, -1), strict=True):
        image = axis.imshow(weights, cmap="inferno", vmin=0.0, vmax=max(maps.max(), 1e-9))
        axis.set_title(f"t-{age}: {weights.sum():.0%} of the attention")
        axis.set_xticks([])
        axis.set_yticks([])
        if math.isqrt(positions) == side:
            axis.plot(own[1], own[0], "o", color="white", markerfacecolor="none", markersize=14)
    figure.suptitle(f"Attention of position {query_idx} of the new frame (circle: its own position)")
    figure.colorbar(image, ax=list(axes[0]), label="weight")
    if save_path is not None:
        figure.savefig(save_path)
    if figure.canvas.required_interactive_framework:
        plt.show()
    plt.close(figure)
