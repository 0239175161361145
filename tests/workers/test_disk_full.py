"""A disk that fills up while a run records, or is full at its end."""

import contextlib
import json
from pathlib import Path

from tests.workers.pipeline import QUICK, Pipeline
from tests.workers.program import Program

FRAMES = 60
SHORT = ("--frames", "5", "--headless", "--set", "sink.record=false", *QUICK)


def test_a_full_disk_ends_the_recording_not_the_run(place: Path, small_disk: Path) -> None:
    with Pipeline(place, "--frames", str(FRAMES), "--set", f"run.output_dir={small_disk}") as run:
        outcome = run.finish()
    assert outcome.code == 3, outcome.told()
    assert "recording stopped" in outcome.out
    assert "demo.mp4: can't be written: no space left on device" in outcome.err
    assert [name for name in outcome.report["lost"] if name.endswith("/demo.mp4")]
    assert "no space left on device" in outcome.out
    assert outcome.stream("demo")["rendered"] == FRAMES
    assert [line["seq"] for line in outcome.predictions] == list(range(FRAMES))


def test_predictions_that_find_the_disk_full_are_whole_lines_and_an_exit_code(
    place: Path, small_disk: Path
) -> None:
    predictions = small_disk / "predictions.jsonl"
    (small_disk / "filler").write_bytes(bytes(97_000))
    files = ("--predictions", str(predictions), "--set", "run.output_dir=")
    with Pipeline(place, "--frames", str(FRAMES), *files) as run:
        outcome = run.finish()
    assert outcome.code == 3, outcome.told()
    loss = f"{predictions}: can't be written: no space left on device"
    assert (outcome.err, outcome.report["lost"]) == (f"error: {loss}\n", {"predictions": loss})
    assert outcome.stream("demo")["rendered"] == FRAMES
    written = [json.loads(line)["seq"] for line in predictions.read_text().splitlines()]
    assert written == list(range(len(written)))
    assert 0 < len(written) < FRAMES


def test_a_report_that_finds_the_disk_full_costs_nothing_else(place: Path, small_disk: Path) -> None:
    with contextlib.suppress(OSError), (small_disk / "filler").open("wb") as filler:
        filler.write(bytes(1 << 20))
    report = small_disk / "report.json"
    with Program(place, *SHORT, "--report", str(report)) as run:
        outcome = run.finish()
    assert outcome.code == 3
    assert "Summary" in outcome.out
    assert outcome.err == f"error: {report}: can't write the report: No space left on device\n"
