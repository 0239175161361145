"""What the options of the command line mean for a whole run."""

import os
from pathlib import Path

import pytest

from pipeline.base.config import Config
from tests.video.clips import write_video
from tests.workers.pipeline import Pipeline, streams
from workers.commands import app, run_pipeline

FRAMES = 5
CLIP = {"frames": FRAMES, "width": 320, "height": 240}


def test_every_option_reaches_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded(*arguments: str) -> Config:
        taken: list[Config] = []
        monkeypatch.setattr(run_pipeline, "run_pipeline", lambda config, report: taken.append(config) or 0)
        with pytest.raises(SystemExit):
            app.app(["--set", "sink.window=true", *arguments])
        return taken[0]

    plain = loaded()
    assert (plain.sink.window, plain.sink.web, plain.terminal.live, plain.security.insecure) == (
        True,
        True,
        True,
        False,
    )
    config = loaded("--frames", "7", "--seconds", "3", "--predictions", "p", "--max-age", "2s", "--no-web")
    assert (config.run.frames, config.run.seconds, config.sink.predictions) == (7, 3.0, "p")
    assert (config.freshness.max_age_ms, config.sink.web) == (2000.0, False)
    assert loaded("--set", "sink.window=false", "--window").sink.window
    quiet = loaded("--window", "--headless", "--insecure", "--source", "0", "--pace")
    assert (quiet.sink.window, quiet.terminal.live, quiet.security.insecure) == (False, False, True)
    assert [(stream.id, stream.pace) for stream in quiet.streams] == [("cam0", True)]
    assert loaded("--set", "run.frames=9", "--frames", "0").run.frames == 0


@pytest.mark.slow
def test_file_names_in_any_script_and_of_no_text_name_stream_recording_report_and_predictions(
    place: Path,
) -> None:
    """Of a name that is no text, what is none is left out."""
    film = write_video(place / "жест 手.mp4", **CLIP)
    no_text = write_video(place / "film.mp4", **CLIP).rename(os.fsdecode(bytes(place / "clip") + b"\xff.mp4"))
    with Pipeline(place, "--source", str(film), "--source", str(no_text)) as run:
        check_streams(run, "жест-手", "clip")


@pytest.mark.slow
def test_a_stream_may_be_called_by_any_printable_text(place: Path) -> None:
    name = "дверь 1 (手)"
    film = write_video(place / "film.mp4", **CLIP)
    with Pipeline(place, *streams({"id": name, "source": str(film)})) as run:
        check_streams(run, name)


def check_streams(run: Pipeline, *names: str) -> None:
    outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    for name in names:
        assert outcome.stream(name)["predicted"] == FRAMES, outcome.told()
    lines = [line["stream_id"] for line in outcome.predictions]
    assert sorted(lines) == sorted([*names] * FRAMES)
    videos = [path.name for path in (run.folder / "videos").glob("*/*")]
    assert sorted(videos) == sorted(f"{name}.mp4" for name in names)
