"""Tables of dense-motion results with baselines."""

from collections.abc import Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.training.evaluation.metrics import Report

_NAMES = {
    "epe": "network",
    "dis_epe": "DIS",
    "dis_fast_epe": "DIS\nfast",
    "dis_ultrafast_epe": "DIS\nultrafast",
    "farneback_epe": "Farneback",
}
_CORRUPTED = {
    "noise": "noise, sigma 20",
    "low_light": "low light",
    "light_jump": "exposure jump",
    "jpeg": "JPEG, quality 15",
    "h264": "H.264",
}


def render_dense(metrics: Report) -> list[RenderableType]:
    """Tables of the `score_dense` sections in a report, each followed by an empty line."""
    parts: list[RenderableType] = []
    if "flow" in metrics:
        parts += [*_flow(metrics["flow"]), "", *_uncertainty(metrics["uncertainty"]), ""]
    if "moving" in metrics:
        parts += _moving(metrics["moving"])
    if "still" in metrics:
        parts += [*_still(metrics["still"]), ""]
    if "camera" in metrics:
        parts += [*_camera(metrics["camera"]), ""]
    return parts


def _flow(pairs: Report) -> list[RenderableType]:
    methods = [name for name in _NAMES if name in next(iter(pairs.values()))]
    table = _table("Flow: mean end-point error in image pixels", "pair", methods)
    for name, pair in sorted(pairs.items(), key=lambda item: -item[1]["epe"]):
        table.add_row(name, *_best(pair, methods))
    table.add_section()
    table.add_row(f"mean of {len(pairs)}", *_best(_mean(list(pairs.values()), methods), methods))
    corruptions = list(next(iter(pairs.values())).get("corrupted", ()))
    if not corruptions:
        return [table]
    corrupted = _table(f"The same {len(pairs)} pairs corrupted: mean end-point error", "corruption", methods)
    for name in corruptions:
        mean = _mean([pair["corrupted"][name] for pair in pairs.values()], methods)
        corrupted.add_row(_CORRUPTED[name], *_best(mean, methods))
    return [table, "", corrupted]


def _table(title: str, first: str, methods: Sequence[str]) -> Table:
    table = Table(title=title)
    table.add_column(first, overflow="fold")
    for name in methods:
        table.add_column(_NAMES[name], justify="right")
    return table


def _mean(rows: Sequence[Mapping[str, float]], methods: Sequence[str]) -> dict[str, float]:
    return {name: sum(row[name] for row in rows) / len(rows) for name in methods}


def _best(row: Mapping[str, float], methods: Sequence[str]) -> list[Text]:
    """The errors, with the lowest in bold."""
    lowest = min(row[name] for name in methods)
    return [Text(f"{row[name]:.2f}", "bold" if row[name] == lowest else "") for name in methods]


def _uncertainty(report: Report) -> list[RenderableType]:
    table = Table(title="Uncertainty: errors in pixels")
    table.add_column("decile of positions")
    table.add_column("expected", justify="right")
    table.add_column("actual error", justify="right")
    for number, part in enumerate(report["bins"]):
        name = {0: "most certain", len(report["bins"]) - 1: "least certain"}.get(number, "")
        table.add_row(name, f"{part['expected']:.2f}", f"{part['real']:.2f}")
    note = (
        f"below the expected error: {report['within']:.0%} (63 % if calibrated); "
        f"below three times the expected error: {report['within_3']:.0%} (95 %)"
    )
    return [table, Text(note)]


def _moving(sequences: Report) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for kind, key, title in (
        ("cdnet", "f", "Moving pixels: F-measure over all frames"),
        ("davis", "j", "Main object: J (mean overlap per frame); other objects count as false positives"),
    ):
        chosen = [(name, row) for name, row in sequences.items() if row["kind"] == kind]
        if not chosen:
            continue
        table = Table(title=title)
        table.add_column("sequence", overflow="fold")
        for heading in ("frames", key.upper(), f"MOG2 {key.upper()}", "precision", "recall"):
            table.add_column(heading, justify="right")
        for name, row in sorted(chosen, key=lambda item: item[1][key]):
            table.add_row(name, str(row["frames"]), *_share(row, key))
        if len(chosen) > 1:
            table.add_section()
            rows = [row for _, row in chosen]
            mean = {name: sum(row[name] for row in rows) / len(rows) for name in _columns(key)}
            table.add_row(f"mean of {len(rows)}", "", *_share(mean, key))
        parts += [table, ""]
    return [*parts, *_speed(sequences)]


def _speed(sequences: Report) -> list[RenderableType]:
    """Velocity errors of the sequences with trackable objects."""
    table = Table(title="Velocity of objects: median error relative to their displacement")
    table.add_column("sequence", overflow="fold")
    for heading in ("objects", "network", "DIS"):
        table.add_column(heading, justify="right")
    for name, row in sequences.items():
        if row.get("things"):
            table.add_row(
                name, str(row["things"]), f"{row['speed_error']:.2f}", f"{row['dis_speed_error']:.2f}"
            )
    return [table, ""] if table.rows else []


def _columns(key: str) -> tuple[str, ...]:
    return key, f"mog2_{key}", "precision", "recall"


def _share(row: Mapping[str, float], key: str) -> list[str]:
    return [f"{row[name]:.3f}" for name in _columns(key)]


def _still(report: Report) -> list[RenderableType]:
    table = Table(title="Still images under disturbances: all motion is false")
    table.add_column("effect")
    for heading in (
        "frames",
        "false\nobjects",
        "network\nfalse",
        "flow\np50",
        "flow\np99",
        "MOG2\nfalse",
        "DIS\np50",
        "DIS\np99",
    ):
        table.add_column(heading, justify="right")
    for name, row in report.items():
        table.add_row(
            name,
            str(row["frames"]),
            str(row["things"]),
            f"{row['false_share']:.1%}",
            f"{row['flow_median']:.2f}",
            f"{row['flow_p99']:.2f}",
            f"{row['mog2_false_share']:.1%}",
            f"{row['dis_median']:.2f}",
            f"{row['dis_p99']:.2f}",
        )
    return [
        table,
        Text(
            "false objects: objects tracked in all clips; false: share of frames with any moving position; "
            "flow in pixels of the network's input"
        ),
    ]


def _camera(report: Report) -> list[RenderableType]:
    table = Table(title="Camera motion in static scenes: median error in pixels")
    table.add_column("sequence", overflow="fold")
    for heading in ("frames", "network", "fit to\nDIS", "best\nfit", "network's\nflow", "DIS\nflow"):
        table.add_column(heading, justify="right")
    for name, row in sorted(report.items(), key=lambda item: -item[1]["epe"]):
        keys = ("epe", "dis_fit_epe", "best_fit_epe", "flow_epe", "dis_epe")
        table.add_row(name, str(row["frames"]), *(f"{row[key]:.2f}" for key in keys))
    note = (
        "for a width of 320 px; best fit: a similarity fitted to the ground truth; its error is due to depth"
    )
    return [table, Text(note)]
