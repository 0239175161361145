"""Plots loss and accuracy of a training run."""

import io
import json
from pathlib import Path

from pipeline.base.files import write_whole
from pipeline.base.packages import need_extra


def draw_curves(metrics: Path, picture: Path) -> None:
    """Plots the content of a ``metrics.jsonl``.

    Args:
        metrics: The JSON-lines file of a run.
        picture: The PNG file to write; an existing one is replaced atomically.

    Raises:
        MissingPackageError: Matplotlib is not installed.
    """
    need_extra("plots")
    from matplotlib.figure import Figure

    lines = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    trained = [line for line in lines if line["split"] == "train"]
    validated = [line for line in lines if line["split"] == "validation"]
    figure = Figure(figsize=(9, 6), dpi=110, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    steps = [line["step"] for line in trained]
    above.plot(steps, [line["loss"] for line in trained], color="#d9480f", linewidth=1.4)
    above.set_ylabel("loss")
    below.plot(
        steps,
        [line["accuracy"] for line in trained],
        color="#74a9cf",
        linewidth=1.2,
        label="training batches",
    )
    checked = [line["step"] for line in validated]
    found = [line["accuracy"] for line in validated]
    below.plot(checked, found, "o-", color="#045a8d", linewidth=1.6, markersize=4, label="validation")
    if found:
        best = max(range(len(found)), key=lambda i: (found[i], i))
        below.annotate(
            f"best {found[best]:.4f}",
            (checked[best], found[best]),
            textcoords="offset points",
            xytext=(0, -16),
            ha="center",
            color="#045a8d",
        )
    below.set_ylim(0, 1.02)
    below.set_ylabel("accuracy")
    below.set_xlabel("step")
    below.legend(loc="lower right", frameon=False)
    for axes in (above, below):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    data = io.BytesIO()
    figure.savefig(data, format="png")
    write_whole(picture, data.getvalue())
