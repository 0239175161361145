"""A disk that fills up while a run records."""

from pathlib import Path

from tests.workers.pipeline import Pipeline

FRAMES = 60


def test_a_full_disk_ends_the_recording_not_the_run(place: Path, small_disk: Path) -> None:
    with Pipeline(place, "--frames", str(FRAMES), "--set", f"run.output_dir={small_disk}") as run:
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    assert "recording stopped" in outcome.out
    assert "no space left on device" in outcome.out
    assert outcome.stream("demo")["rendered"] == FRAMES
    assert [line["seq"] for line in outcome.predictions] == list(range(FRAMES))
