"""Plots confusion matrices."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.base.packages import need_extra

Confusion = Sequence[Sequence[int]]
"""Counts; rows are the true classes, columns the predicted ones."""


def need_matplotlib(path: Path) -> None:
    """Checks that a plot can be written.

    Raises:
        ValueError: Matplotlib is missing, or does not support the format named by the suffix of ``path``.
    """
    need_extra("plots")
    from matplotlib.backend_bases import FigureCanvasBase

    if path.suffix.lower().lstrip(".") not in FigureCanvasBase.get_supported_filetypes():
        raise ValueError(f"{path}: the file name must end in .png, .jpg, .svg or .pdf")


def draw_confusions(matrices: Mapping[str, Confusion], labels: Sequence[str], path: Path) -> None:
    """Draws matrices side by side: colours are shares of each true class, numbers are clip counts.

    Args:
        matrices: By title, at least one.
        labels: Names of the classes.
        path: Output file; its suffix gives the format.

    Raises:
        ValueError: Matplotlib does not support the format.
        OSError: The file can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = math.ceil(math.sqrt(len(matrices)))
    rows = math.ceil(len(matrices) / columns)
    side = 1.8 + 0.42 * len(labels)
    figure = Figure(figsize=(side * columns + 0.8, side * rows + 0.3), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(matrices) :]:
        axis.set_axis_off()
    for axis, (title, confusion) in zip(axes, matrices.items(), strict=False):
        counts = np.asarray(confusion)
        shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
        image = axis.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
        for (row, column), count in np.ndenumerate(counts):
            if count:
                ink = "white" if shares[row, column] > 0.5 else "#303030"
                axis.text(column, row, str(count), ha="center", va="center", fontsize=8, color=ink)
        right = counts.trace() / max(counts.sum(), 1)
        axis.set_title(f"{title}: {right:.1%} of {counts.sum()} correct", fontsize=10)
        axis.set_xticks(
            range(len(labels)), labels, rotation=60, ha="right", rotation_mode="anchor", fontsize=8
        )
        axis.set_yticks(range(len(labels)), labels, fontsize=8)
        axis.set_xlabel("prediction", fontsize=9)
        axis.set_ylabel("truth", fontsize=9)
        for edge in np.arange(0.5, len(labels) - 1):
            axis.axhline(edge, color="#d8e0ea", linewidth=0.5)
            axis.axvline(edge, color="#d8e0ea", linewidth=0.5)
        axis.tick_params(length=0)
        for spine in axis.spines.values():
            spine.set_visible(False)
    figure.colorbar(image, ax=list(axes), label="share of the true class", shrink=0.7)
    figure.savefig(path)
