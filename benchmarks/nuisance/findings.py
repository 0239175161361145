"""Settings and results of the nuisance benchmarks: a table and a JSON file."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe_machine
from benchmarks.nuisance.contest import METHODS
from pipeline.runtime.base import Runtime
from pipeline.runtime.open_runtime import open_runtime
from pipeline.runtime.runtime_options import Options

_MODEL = "motion_resnet18"
_SURE = 0.05
"""Probability that the true rate is above the upper bound."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Common settings of the three kinds of runs.

    Attributes:
        longer_side_px: Longer side of the network's input; 0 uses the size from training.
        fps: Frames per second.
        json_file: Output file.
    """

    longer_side_px: int = 0
    fps: float = 10.0
    json_file: Path | None = None


def open_model(settings: Settings) -> Runtime:
    """Opens the shipped network."""
    options = Options(longer_side_px=settings.longer_side_px, report=lambda line: None)
    return open_runtime(_MODEL, options)


def store(settings: Settings, runtime: Runtime, results: dict[str, Any]) -> None:
    """Writes the JSON file atomically, so that a killed run leaves the previous file intact."""
    if settings.json_file is None:
        return
    about = {
        "machine": describe_machine(),
        "runtime": runtime.describe(),
        "longer_side_px": settings.longer_side_px,
        "fps": settings.fps,
    }
    part = settings.json_file.with_name(settings.json_file.name + ".part")
    part.write_text(json.dumps({**about, **results}, indent=1) + "\n")
    part.replace(settings.json_file)


def most_likely(events: int) -> float:
    """95 % upper confidence bound of a Poisson mean, given the number of counted events.

    It is 3.0 for zero events (rule of three).
    """
    low, high = float(events), 10.0 + 3.0 * events
    while high - low > 1e-6:
        middle = (low + high) / 2
        terms = (math.exp(n * math.log(middle) - middle - math.lgamma(n + 1)) for n in range(events + 1))
        low, high = (middle, high) if sum(terms) > _SURE else (low, middle)
    return high


def hourly(events: int, seconds: float) -> str:
    """Events per hour, with the upper bound."""
    hours = seconds / 3600
    return f"{events / hours:.1f} (< {most_likely(events) / hours:.1f})"


def words(row: dict[str, Any]) -> str:
    """Summary of one video in one line."""
    return "; ".join(
        f"{name} {row[name]['found']} of {row[name]['true']} found, {row[name]['false']} false"
        for name in METHODS
    )


def show(console: Console, rows: list[dict[str, Any]], keys: Sequence[str]) -> None:
    """Prints a table of videos, with the total in the last row."""
    table = Table(
        title="True events found / false events / false events per hour / quiet time reported as motion"
    )
    for column in (*keys, "true", *METHODS):
        table.add_column(column)
    for row in rows:
        true = str(row["ours"]["true"])
        table.add_row(*(str(row[key]) for key in keys), true, *(_cell([row], name) for name in METHODS))
    true = str(sum(row["ours"]["true"] for row in rows))
    table.add_row("all", *("" for _ in keys[1:]), true, *(_cell(rows, name) for name in METHODS))
    console.print(table)


def _cell(rows: list[dict[str, Any]], name: str) -> str:
    found, false, quiet_s, false_quiet_s = (
        sum(row[name][key] for row in rows) for key in ("found", "false", "quiet_s", "false_quiet_s")
    )
    seconds = sum(row["seconds"] for row in rows)
    share = false_quiet_s / quiet_s if quiet_s else 0.0
    return f"{found} / {false} / {false * 3600 / seconds:.0f} / {share:.0%}"
