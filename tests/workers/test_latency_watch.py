"""Predictions that come late: told once, with age and limit, and ended when they are in time again."""

import json
import signal
from pathlib import Path

from pipeline.base.event import Event, unix_ns
from tests.support import until
from tests.workers.films import camera_film
from tests.workers.pipeline import Pipeline, streams
from workers.latency_watch import LatencyWatch

SECOND = 10**9


def predict(watch: LatencyWatch, begins: float, seconds: float, age_ms: float) -> list[Event]:
    """Ten a second."""
    told = []
    for n in range(round(seconds * 10)):
        now_ns = round((begins + n / 10) * SECOND)
        told += watch.see(age_ms, now_ns) + watch.look(now_ns)
    return told


def test_predictions_that_stay_late_are_told_once_until_they_are_clearly_in_time() -> None:
    watch = LatencyWatch("door", 1000)
    assert predict(watch, 100, 10, 900) == []
    (start,) = predict(watch, 110, 10, 1400)
    assert (start.kind, start.phase, start.stream_id) == ("latency", "start", "door")
    assert start.why == {"p50_ms": 1400, "limit_ms": 1000}
    assert 109 * SECOND < unix_ns(start.time) < 111 * SECOND, "when it began, not when it was clear"
    assert predict(watch, 120, 10, 900) == [], "a little below is no end"
    (end,) = predict(watch, 130, 10, 700)
    assert (end.phase, end.start, end.why) == ("end", start.id, {})
    assert end.for_s is not None
    assert 19 < end.for_s < 21


def test_a_moment_a_start_and_a_limit_of_none_tell_nothing() -> None:
    watch = LatencyWatch("door", 1000)
    assert predict(watch, 100, 10, 100) + predict(watch, 110, 1.2, 5000) + predict(watch, 111.2, 9, 100) == []
    assert predict(LatencyWatch("young", 1000), 100, 2.9, 5000) == []
    assert predict(LatencyWatch("off", 0), 100, 20, 5000) == []


def test_without_predictions_nobody_knows_whether_they_would_be_late() -> None:
    watch = LatencyWatch("door", 1000)
    (start,) = predict(watch, 100, 5, 1400)
    assert watch.look(round(107.8 * SECOND)) == []
    (end,) = watch.look(round(107.95 * SECOND))
    assert (end.start, end.why) == (start.id, {"ended": "no predictions are arriving"})
    assert predict(watch, 110, 2.9, 1400) == [], "it is judged anew"
    (again,) = predict(watch, 112.9, 1, 1400)
    assert again.id != start.id
    assert [one.start for one in watch.end("the stream has ended")] == [again.id]
    assert watch.end("the sink was stopped") == []


def test_a_run_whose_predictions_are_over_the_limit_tells_it_and_no_worker_that_is_down(place: Path) -> None:
    film = camera_film(place / "film.mp4", frames=7500)
    camera = streams({"id": "front", "source": str(film), "policy": "newest"})
    tiny = ("--set", "sink.latency_limit_ms=0.01")
    with Pipeline(place, *camera, *tiny, "--events", "events.jsonl") as run:
        file = run.folder / "events.jsonl"
        until(lambda: file.exists() and file.read_text().count("\n"), "something is told", 60.0)
        run.signal(signal.SIGINT)
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    start, end = (json.loads(line) for line in file.read_text().splitlines())
    assert (start["kind"], start["phase"], start["stream_id"]) == ("latency", "start", "front")
    assert start["why"]["p50_ms"] >= 0
    assert (end["kind"], end["start"], list(end["why"])) == ("latency", start["id"], ["ended"])
    assert outcome.stream("front")["events"] == {"latency": 1}
    assert "front: prediction latency is " in outcome.out
