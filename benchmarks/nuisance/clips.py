"""``bench nuisance --clips``: runs all methods on annotated footage, unaltered and disturbed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.nuisance.contest import Contest
from benchmarks.nuisance.findings import Settings, open_model, show, store, words
from benchmarks.nuisance.known_clips import (
    DISTURBANCES,
    Truth,
    disturbed,
    find_clips,
    load_truths,
    play,
    seen_in,
)
from pipeline.base.errors import ConfigError
from pipeline.runtime.base import Runtime


def bench(
    paths: Sequence[Path], truth_files: Sequence[Path], disturbances: Sequence[str], settings: Settings
) -> None:
    """Prints a table and stores the results.

    Raises:
        ConfigError: A clip or its truth file can't be read, or a disturbance does not exist.
    """
    if unknown := set(disturbances) - set(DISTURBANCES):
        names = ", ".join(DISTURBANCES)
        raise ConfigError(f"unknown nuisance {min(unknown)!r} for clips; expected one of: {names}")
    clips = find_clips(paths, load_truths(truth_files))
    runtime = open_model(settings)
    console, rows = Console(), list[dict[str, Any]]()
    for path, truth in clips:
        for disturbance in disturbances or DISTURBANCES:
            row = {"clip": truth.clip, "nuisance": disturbance}
            row |= _film(runtime, path, truth, disturbance, settings.fps)
            rows.append(row)
            console.print(f"{truth.clip}, {disturbance}: {words(row)}", highlight=False)
            store(settings, runtime, {"results": rows})
    show(console, rows, ("clip", "nuisance"))


def _film(runtime: Runtime, path: Path, truth: Truth, disturbance: str, fps: float) -> dict[str, Any]:
    contest, time_ns = Contest(runtime, seen_in(truth.watch, disturbance)), 0
    for image, time_ns in disturbed(play(path, truth, fps), disturbance):
        contest.see(image, time_ns)
    contest.end()
    seconds = time_ns / 1e9
    told = [
        f"{event.rule or event.kind} {event.phase} {contest.ours.seconds_of(event):.1f}"
        for event in contest.ours.events
    ]
    return {"seconds": seconds, **contest.result(truth.true_events(), seconds), "told": told}
