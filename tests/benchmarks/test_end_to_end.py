"""The benchmark of the whole pipeline, for real but short."""

import json
from pathlib import Path

import pytest

from benchmarks.end_to_end import RATES, add_up, bench, run_demo
from pipeline.account.stats import StreamStats, WorkerStats
from tests.video.clips import write_video


@pytest.mark.slow
def test_both_are_measured_at_all_rates(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    bench(2.0, 0.5, 1, ["--set=inference.threads=1"], place / "results" / "e2e.json", tour_frames=40)
    document = json.loads((place / "results" / "e2e.json").read_text())
    assert set(document["medians"]) == {str(rate) for rate in RATES}
    for both in document["medians"].values():
        assert set(both) == {"pipeline", "webcam_demo"}
        for figures in both.values():
            assert figures.keys() >= {"age_p50_ms", "age_p95_ms", "age_p99_ms"}
            assert min(figures.values()) > 0
    assert document["medians"]["30"]["pipeline"].keys() >= {"before_step_p50_ms", "step_p50_ms"}
    assert document["machine"]["processor"]
    said = capsys.readouterr()
    assert "30 fps, demo" in said.out
    assert "150 fps, round 1 of 1: pipeline\n150 fps, round 1 of 1: webcam demo\n" in said.err


def test_predictions_are_timed_by_inference_alone() -> None:
    counted = {
        "capture": StreamStats(captured=9, last_ns=900),
        "inference": StreamStats(predicted=7, last_ns=700),
        "sink": StreamStats(rendered=8, last_ns=800),
    }
    total = add_up(
        WorkerStats(role, role, 1, "", 1, streams={"camera": one}) for role, one in counted.items()
    )
    assert (total.predicted, total.rendered, total.last_ns) == (7, 8, 700)


def test_a_run_that_fails_says_why(place: Path) -> None:
    with pytest.raises(ValueError, match=r"the webcam demo failed:(.|\n)*nosuch\.mp4"):
        run_demo(place / "nosuch.mp4", 0.1, 0.1)


def test_a_film_that_ends_too_early_is_an_error(place: Path) -> None:
    film = write_video(place / "short.mp4", frames=3)
    with pytest.raises(ValueError, match="too short"):
        run_demo(film, 5.0, 5.0)
