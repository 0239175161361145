"""Results as a Markdown table: one row per variant, with the mean and half the range over seeds."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.temporal.harness import SPEEDS
from benchmarks.temporal.variants import VARIANTS

Line = Mapping[str, Any]
_SCORES = {f"{speed:g}x": f"{speed:g}x" for speed in SPEEDS} | {
    "single_frame": "one frame",
    "reversed": "reversed",
}
_DISTURBED = {f"{speed:g}x disturbed": f"{speed:g}x disturbed" for speed in SPEEDS}
_MAY_DIFFER = {"seed", "device", "repeats", "pictures", "held_out", "keep", "compile"}


def markdown(lines: Iterable[Line]) -> str:
    """The table of all lines, in the order of ``VARIANTS``; below it the variants without a result.

    Raises:
        ValueError: The results have different budgets and can't be compared.
    """
    lines = list(lines)
    _check_alike(lines)
    rows: dict[str, list[Line]] = {}
    for line in lines:
        rows.setdefault(line["name"], []).append(line)
    good = {
        name: [line for line in rows[name] if "error" not in line]
        for name in sorted(rows, key=[*VARIANTS, *rows].index)
    }
    devices = sorted({line["device"] for runs in good.values() for line in runs if "step_ms" in line})
    scores = _SCORES | (
        _DISTURBED if any(_DISTURBED.keys() & line.get("accuracy", {}) for line in lines) else {}
    )
    head = ["variant", "parameters", *scores.values(), "clips seen", "GFLOPs", "cache"]
    head += [f"step on {device} (relative to ours)" for device in devices]
    table = [_row(head), _row(["---"] + ["---:"] * (len(head) - 1))]
    table += [_row(_cells(runs, devices, scores)) for runs in good.values() if runs]
    failed = [f"{name}: failed: {rows[name][-1]['error']}" for name in good if not good[name]]
    return "\n".join(table + ([""] if failed else []) + failed) + "\n"


def _check_alike(lines: Sequence[Line]) -> None:
    budgets = [line["budget"] for line in lines if "accuracy" in line]
    for budget in budgets:
        differs = [key for key in budget if key not in _MAY_DIFFER and budget[key] != budgets[0][key]]
        if differs:
            raise ValueError(f"results differ in {', '.join(differs)}: make a separate table for each value")


def _cells(runs: Sequence[Line], devices: Sequence[str], scores: Iterable[str]) -> list[str]:
    first, trained = runs[0], [line for line in runs if "accuracy" in line]
    cells = [first["about"], f"{first['parameters'] / 1e6:.2f} M"]
    cells += [_spread([line["accuracy"][key] for line in trained], "{:.3f}".format) for key in scores]
    cells.append(_spread([line["clips"] / 1000 for line in trained], "{:.0f}k".format))
    cells += [f"{first['gflops']:.2f}", f"{first['cache_kib']:.0f} KiB"]
    for device in devices:
        here = [line for line in runs if line["device"] == device and "step_ms" in line]
        # prefer steps that were measured separately from training: nothing else disturbed them
        here = [line for line in here if "accuracy" not in line] or here
        milliseconds = _spread([line["step_ms"] for line in here], "{:.2f}".format)
        ratio = sum(line["over_ours"] for line in here) / max(len(here), 1)
        cells.append(f"{milliseconds} ms ({ratio:.2f}x)" if here else "")
    return cells


def _spread(values: Sequence[float], show: Callable[[float], str]) -> str:
    if not values:
        return ""
    mean, half = sum(values) / len(values), (max(values) - min(values)) / 2
    return show(mean) if len(values) == 1 else f"{show(mean)} ± {show(half)}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
