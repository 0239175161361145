"""Plots the time of a step over the number of streams."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.scale.timing import ScaleResult


def draw(results: Sequence[ScaleResult], title: str, path: Path) -> None:
    """Draws the curves; needs matplotlib."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    results = sorted(results, key=lambda result: result.streams)
    streams = [result.streams for result in results]
    curves = {
        "from 640x480 frames": [r.step_ms for r in results],
        "plain ResNet": [r.plain_ms for r in results],
    }
    if results[0].device_ms is not None:
        curves["GPU work only"] = [r.device_ms or 0.0 for r in results]
    else:
        curves["from frames of the model's input size"] = [r.square_ms for r in results]
    for label, values in curves.items():
        left.plot(streams, values, "o-", label=label)
        right.plot(streams, [value / n for value, n in zip(values, streams, strict=True)], "o-", label=label)
    for axis, what in ((left, "ms per step"), (right, "ms per step and stream")):
        axis.set(xscale="log", yscale="log", xlabel="streams in one batch", ylabel=what)
        axis.set_xticks(streams, [str(n) for n in streams])
        axis.minorticks_off()
        axis.grid(visible=True, alpha=0.3)
    left.legend()
    figure.suptitle(title)
    figure.savefig(path, dpi=120)
    plt.close(figure)
