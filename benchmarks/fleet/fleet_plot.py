"""Plots simulated fleets over time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

SHOWN = ("node", "failures", "flapping")


def draw(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Draws moves, load and streams without predictions over time; needs matplotlib."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    scenarios = [name for name in SHOWN if any(one["scenario"] == name for one in results)]
    scenarios = scenarios or [results[0]["scenario"]]
    rows = {
        "moves": "moves in 10 s",
        "imbalance": "highest / mean load",
        "dark": "streams without predictions",
    }
    figure, axes = plt.subplots(
        len(rows),
        len(scenarios),
        figsize=(4.2 * len(scenarios), 7),
        sharex=True,
        layout="constrained",
        squeeze=False,
    )
    for column, scenario in enumerate(scenarios):
        for row, (key, label) in enumerate(rows.items()):
            axis = axes[row][column]
            for one in (one for one in results if one["scenario"] == scenario):
                curves = one["curves"]
                axis.plot(
                    [second / 60 for second in curves["second"]], curves[key], label=one["decider"], lw=1
                )
            if key != "imbalance":
                axis.set_yscale("symlog")
            axis.grid(visible=True, alpha=0.3)
            if column == 0:
                axis.set_ylabel(label)
        axes[0][column].set_title(scenario)
        axes[-1][column].set_xlabel("minutes")
    axes[0][0].legend()
    figure.savefig(path, dpi=80)
    plt.close(figure)
