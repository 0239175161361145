"""Runs the films through this program and its rivals, and prints who cried wolf."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe_machine
from benchmarks.nuisance.rivals import BoxTracker, Differencing, Mog2
from benchmarks.nuisance.scoring import Score, Teller, score
from benchmarks.nuisance.staged import NUISANCES, filmed
from benchmarks.one_stream import Watching
from pipeline.base.errors import ConfigError
from pipeline.base.frame import Image
from pipeline.runtime.base import Runtime
from pipeline.runtime.open_runtime import open_runtime
from pipeline.runtime.runtime_options import Options
from pipeline.video.demo import paint
from pipeline.video.tour import CANVAS_HEIGHT, CANVAS_WIDTH

_SIZES = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016)
"""Smallest boxes of the rivals, as shares of the picture; on each film their best one counts."""
_RIVALS: dict[str, Callable[[], Mog2 | Differencing]] = {"mog2": Mog2, "differencing": Differencing}


def bench(
    pictures: Sequence[Path],
    nuisances: Sequence[str],
    seconds: float,
    longer_side_px: int,
    json_file: Path | None,
) -> None:
    """Prints a table, and stores it.

    Raises:
        ConfigError: A picture can't be read, or there is no such nuisance.
    """
    if unknown := set(nuisances) - set(NUISANCES):
        raise ConfigError(f"no nuisance {min(unknown)!r}; there is: {', '.join(NUISANCES)}")
    canvases = {path.name: _photo(path) for path in pictures} or {"street": paint("street", 0)}
    options = Options(longer_side_px=longer_side_px, report=lambda line: None)
    runtime = open_runtime("motion_resnet18", options)
    console, rows = Console(), []
    for background, canvas in canvases.items():
        for nuisance in nuisances or NUISANCES:
            row = _film(runtime, canvas, nuisance, seconds)
            rows.append({"background": background, "nuisance": nuisance, "seconds": seconds, **row})
            console.print(f"{background}, {nuisance}: {_words(row)}", highlight=False)
    _show(console, rows)
    if json_file:
        about = {
            "machine": describe_machine(),
            "runtime": runtime.describe(),
            "longer_side_px": longer_side_px,
        }
        json_file.write_text(json.dumps({**about, "results": rows}, indent=1) + "\n")


def _film(runtime: Runtime, canvas: Image, nuisance: str, seconds: float) -> dict[str, Any]:
    watching, truth, ours = Watching(runtime, judge_health=True), Teller(), Teller()
    detectors = {name: kind() for name, kind in _RIVALS.items()}
    rivals = {(name, size): (BoxTracker(size), Teller()) for name in _RIVALS for size in _SIZES}
    bad = 0
    for shown in filmed(canvas, nuisance, seconds):
        truth.take(shown.truth, shown.time_ns)
        seen = watching.see(shown.image, shown.time_ns)
        if seen is None:
            bad += 1
            ours.cut("the picture is bad")
        else:
            things = [thing for thing in seen.scene.things or () if thing.was]
            ours.take(things, shown.time_ns, depth=seen.depth, sight=seen.scene.sight)
        boxes = {name: detector.boxes(shown.image) for name, detector in detectors.items()}
        for (name, _), (tracker, teller) in rivals.items():
            teller.take(tracker.update(boxes[name], shown.time_ns), shown.time_ns)
    for teller in (truth, ours, *(teller for _, teller in rivals.values())):
        teller.cut("the end")
    found = score(ours, truth, seconds)
    best = {
        name: _best([score(rivals[name, size][1], truth, seconds) for size in _SIZES], found.found)
        for name in _RIVALS
    }
    row: dict[str, Any] = {"ours": asdict(found), "bad_pictures": bad, "other_events": ours.others()}
    return row | {name: {**asdict(one), "least_size": _SIZES[n]} for name, (n, one) in best.items()}


def _best(scores: list[Score], wanted: int) -> tuple[int, Score]:
    """The fewest false ones among those that find as many as we do; else the one that finds most."""
    return min(
        enumerate(scores),
        key=lambda one: (max(wanted - one[1].found, 0), one[1].false, one[1].false_quiet_s),
    )


def _photo(path: Path) -> Image:
    picture = cv2.imread(str(path))
    if picture is None:
        raise ConfigError(f"{path} can't be read as a picture")
    return np.asarray(
        cv2.resize(picture, (CANVAS_WIDTH, CANVAS_HEIGHT), interpolation=cv2.INTER_AREA), np.uint8
    )


def _words(row: dict[str, Any]) -> str:
    return "; ".join(
        f"{name} {row[name]['found']} of {row[name]['entered']} found, {row[name]['false']} false"
        for name in ("ours", *_RIVALS)
    )


def _show(console: Console, rows: list[dict[str, Any]]) -> None:
    table = Table(title="Enterings of a zone, and quiet time in which something was said to move")
    for column in (
        "background",
        "nuisance",
        "true",
        *(f"{name}: found / false / quiet" for name in ("ours", *_RIVALS)),
    ):
        table.add_column(column)
    for row in rows:
        cells = []
        for name in ("ours", *_RIVALS):
            one = row[name]
            share = one["false_quiet_s"] / one["quiet_s"] if one["quiet_s"] else 0.0
            cells.append(f"{one['found']} / {one['false']} / {share:.0%}")
        table.add_row(row["background"], row["nuisance"], str(row["ours"]["entered"]), *cells)
    console.print(table)
