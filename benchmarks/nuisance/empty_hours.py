"""``bench nuisance --empty-minutes``: false events per hour on videos without any true event.

Each video has a seed for the street and the nuisance. Results are stored after each video, so that a stopped
run, or one with more minutes, continues from there.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.nuisance.comparison import choose
from benchmarks.nuisance.contest import METHODS, RIVALS, USUAL_SIZES, Contest, best_size
from benchmarks.nuisance.findings import Settings, hourly, open_model, store
from benchmarks.nuisance.scoring import SETTLES_S, WATCH, Teller, score
from benchmarks.nuisance.staged import filmed
from pipeline.base.errors import ConfigError
from pipeline.runtime.base import Runtime
from pipeline.video.demo import paint

_FILM_S = 123.0
_PLAIN_S = 124.0
Row = dict[str, Any]


def bench(nuisances: Sequence[str], minutes: float, settings: Settings, film_s: float = _FILM_S) -> None:
    """Renders and scores ``minutes`` of each nuisance; prints a table.

    Raises:
        ConfigError: A nuisance does not exist, or the JSON file has results with other settings.
    """
    chosen = choose(nuisances)
    rows = _stored(settings)
    runtime, sizes = open_model(settings), _sizes(settings.fps)
    console = Console()
    counted_s = film_s - SETTLES_S
    for seed in range(max(1, round(minutes * 60 / counted_s))):  # the same seeds for all nuisances
        for nuisance in chosen:
            row = rows.setdefault(nuisance, _empty(nuisance))
            if seed in row["seeds"]:
                continue
            told = _film(runtime, nuisance, seed, film_s, settings.fps, sizes)
            row["seeds"].append(seed)
            row["seconds"] += counted_s
            for name in METHODS:
                for key, value in told[name].items():
                    row[name][key] = round(row[name][key] + value, 1)
            for kind, count in told["other_events"].items():
                row["other_events"][kind] = row["other_events"].get(kind, 0) + count
            row["bad_pictures"] += told["bad_pictures"]
            store(settings, runtime, {"least_sizes": sizes, "results": list(rows.values())})
            said = ", ".join(f"{name} {told[name]['false']}" for name in METHODS)
            console.print(f"{nuisance}, seed {seed}: false events: {said}", highlight=False)
    _show(console, [rows[nuisance] for nuisance in chosen])


def _film(
    runtime: Runtime, nuisance: str, seed: int, seconds: float, fps: float, sizes: dict[str, float]
) -> Row:
    contest = Contest(runtime, WATCH, {name: [size] for name, size in sizes.items()})
    for shown in filmed(paint("street", seed), nuisance, seconds, seed=seed, fps=fps, is_empty=True):
        contest.see(shown.image, shown.time_ns)
    contest.end()
    scores = {"ours": score(contest.ours, [], seconds)}
    for name, size in sizes.items():
        found = contest.scores(name, [], seconds)
        scores |= {name: found[USUAL_SIZES[name]], f"{name} tuned": found[size]}
    told: Row = {
        name: {"false": one.false, "false_quiet_s": one.false_quiet_s} for name, one in scores.items()
    }
    return told | {"other_events": contest.ours.others(), "bad_pictures": contest.bad_pictures}


def _sizes(fps: float) -> dict[str, float]:
    """The best minimum box area of each baseline without a nuisance; of equally good ones, the largest."""
    contest, truth = Contest(None, WATCH), Teller()
    for shown in filmed(paint("street", 0), "none", _PLAIN_S, fps=fps):
        truth.take(shown.truth, shown.time_ns)
        contest.see(shown.image, shown.time_ns)
    truth.cut("the end")
    contest.end()
    true = truth.truth()
    return {name: best_size(contest.scores(name, true, _PLAIN_S), len(true)) for name in RIVALS}


def _empty(nuisance: str) -> Row:
    counts = {name: {"false": 0, "false_quiet_s": 0.0} for name in METHODS}
    return {
        "nuisance": nuisance,
        "seeds": [],
        "seconds": 0.0,
        **counts,
        "other_events": {},
        "bad_pictures": 0,
    }


def _stored(settings: Settings) -> dict[str, Row]:
    """Results of earlier runs, by nuisance."""
    path = settings.json_file
    if path is None or not path.exists():
        return {}
    before = _read(path)
    for key in ("longer_side_px", "fps"):
        if before.get(key) != getattr(settings, key):
            raise ConfigError(
                f"{path} has results with {key} {before.get(key)}, not {getattr(settings, key)}: "
                "choose another file with --json"
            )
    return {row["nuisance"]: row for row in before["results"]}


def _read(path: Path) -> Row:
    try:
        before: Row = json.loads(path.read_text())
        is_ours = all("seeds" in row for row in before["results"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} can't be read as results: {error}: choose another file with --json"
        ) from None
    if not is_ours:
        raise ConfigError(f"{path} has results of another benchmark: choose another file with --json")
    return before


def _show(console: Console, rows: list[Row]) -> None:
    table = Table(title="No true events: false events per hour (95 % bound), quiet time reported as motion")
    for column in ("nuisance", "minutes", *METHODS):
        table.add_column(column)
    for row in rows:
        _add(table, row["nuisance"], [row])
    _add(table, "all", rows)
    console.print(table)


def _add(table: Table, title: str, rows: list[Row]) -> None:
    seconds = sum(row["seconds"] for row in rows)
    cells = []
    for name in METHODS:
        false = sum(row[name]["false"] for row in rows)
        share = sum(row[name]["false_quiet_s"] for row in rows) / seconds  # only one rule is of kind "moving"
        cells.append(f"{hourly(false, seconds)}, {share:.0%}")
    table.add_row(title, f"{seconds / 60:.0f}", *cells)
