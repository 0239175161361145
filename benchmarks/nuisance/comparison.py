"""``bench nuisance``: compares this program and other detectors on staged videos."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console

from benchmarks.nuisance.contest import Contest
from benchmarks.nuisance.findings import Settings, open_model, show, store, words
from benchmarks.nuisance.scoring import WATCH, Teller
from benchmarks.nuisance.staged import NUISANCES, filmed
from pipeline.base.errors import ConfigError
from pipeline.base.frame import Image
from pipeline.runtime.base import Runtime
from pipeline.video.demo import paint
from pipeline.video.tour import CANVAS_HEIGHT, CANVAS_WIDTH


def bench(pictures: Sequence[Path], nuisances: Sequence[str], seconds: float, settings: Settings) -> None:
    """Prints a table and stores the results.

    Raises:
        ConfigError: An image can't be read, or a nuisance does not exist.
    """
    chosen = choose(nuisances)
    canvases = {path.name: _photo(path) for path in pictures} or {"street": paint("street", 0)}
    runtime = open_model(settings)
    console, rows = Console(), list[dict[str, Any]]()
    for background, canvas in canvases.items():
        for nuisance in chosen:
            row = {"background": background, "nuisance": nuisance, "seconds": seconds}
            row |= _film(runtime, canvas, nuisance, seconds, settings.fps)
            rows.append(row)
            console.print(f"{background}, {nuisance}: {words(row)}", highlight=False)
    show(console, rows, ("background", "nuisance"))
    store(settings, runtime, {"results": rows})


def choose(nuisances: Sequence[str]) -> Sequence[str]:
    """The given nuisances, or all if none are given.

    Raises:
        ConfigError: A nuisance does not exist.
    """
    if unknown := set(nuisances) - set(NUISANCES):
        raise ConfigError(f"unknown nuisance {min(unknown)!r}; expected one of: {', '.join(NUISANCES)}")
    return nuisances or NUISANCES


def _film(runtime: Runtime, canvas: Image, nuisance: str, seconds: float, fps: float) -> dict[str, Any]:
    contest, truth = Contest(runtime, WATCH), Teller()
    for shown in filmed(canvas, nuisance, seconds, fps=fps):
        truth.take(shown.truth, shown.time_ns)
        contest.see(shown.image, shown.time_ns)
    truth.cut("the end")
    contest.end()
    return contest.result(truth.truth(), seconds)


def _photo(path: Path) -> Image:
    picture = cv2.imread(str(path))
    if picture is None:
        raise ConfigError(f"{path} can't be read as an image")
    return np.asarray(
        cv2.resize(picture, (CANVAS_WIDTH, CANVAS_HEIGHT), interpolation=cv2.INTER_AREA), np.uint8
    )
