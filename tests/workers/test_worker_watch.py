"""Workers that are down: told once for each cause, dated when it happened, answered when they are up."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.event import Event, unix_ns
from tests.support import until
from tests.workers.films import camera_film
from tests.workers.pipeline import Pipeline, streams
from workers.worker_watch import DIED_NS, NO_ANSWER_NS, Outage, WorkerWatch

SECOND = 10**9
GPU = ("inference", "gpu")
LINK = ("inference at tcp://gpu:5602", "")
DOWN = ("worker_down", "start"), ("worker_down", "end"), ("worker_up", "once")


def died(since: float, **changes: Any) -> Outage:
    return Outage(GPU, "inference", "the process died", round(since * SECOND), DIED_NS)._replace(**changes)


class Sink:
    """Looks four times a second."""

    def __init__(self, begins: float = 100) -> None:
        self.now_ns = round(begins * SECOND)
        self.watch = WorkerWatch(self.now_ns)

    def look(self, seconds: float, *outages: Outage, up: tuple[str, str] | None = None) -> list[Event]:
        told = []
        for _ in range(round(seconds * 4)):
            self.now_ns += SECOND // 4
            known = {up} if up else {one for one in (GPU, LINK) if one not in {out.who for out in outages}}
            told += self.watch.look(self.now_ns, outages, known, ["yard", "door"])
        return told


def kinds(events: list[Event]) -> list[tuple[str, str]]:
    return [(one.kind, one.phase) for one in events]


def test_a_worker_that_died_is_told_after_two_seconds_and_answered_when_it_has_been_up_for_two() -> None:
    sink = Sink()
    assert sink.look(5) == []
    assert sink.look(1.75, died(105)) == [], "a quick restart is not told"
    (start,) = sink.look(9, died(105))
    assert (start.stream_id, unix_ns(start.time)) == ("door", 105 * SECOND)
    assert start.why == {
        "worker": "inference",
        "host": "gpu",
        "cause": "the process died",
        "streams": ["door", "yard"],
    }
    assert sink.look(2) == []
    end, up = sink.look(5)
    assert (end.start, end.kind, up.kind, up.phase) == (start.id, "worker_down", "worker_up", "once")
    assert end.time == up.time == "1970-01-01T00:01:56.000Z"
    assert end.for_s == up.for_s == 11.0
    about = {"worker": "inference", "host": "gpu", "streams": ["door", "yard"]}
    assert end.why == up.why == about, "outlets of these streams get all three"
    assert sink.look(20) == []


def test_one_that_dies_again_at_once_was_never_back() -> None:
    sink = Sink()
    told = sink.look(5, died(100))
    for _ in range(5):
        told += sink.look(1.5) + sink.look(3, died(sink.now_ns / SECOND))
    assert kinds(told) == [DOWN[0]]
    assert kinds(sink.look(5)) == [*DOWN[1:]]


def test_what_hides_no_stream_that_runs_is_not_told() -> None:
    sink = Sink()
    assert sink.look(30, died(100, streams=["hall"])) == []
    (start,) = sink.look(30, died(100, streams=["yard", "hall"]))
    assert start.stream_id == "yard"
    assert "streams" not in start.why


def test_a_link_is_not_told_beside_the_worker_that_it_leads_to() -> None:
    silent = died(100, cause="no answer", patience_ns=NO_ANSWER_NS)
    link = died(100, who=LINK, cause="link lost", patience_ns=NO_ANSWER_NS + DIED_NS)
    sink = Sink()
    told = sink.look(2, link) + sink.look(20, silent, link) + sink.look(2, link) + sink.look(5)
    assert kinds(told) == [*DOWN]
    assert told[0].why["cause"] == "no answer"
    alone = Sink().look(10, link)
    assert [(one.kind, one.why["worker"], "host" in one.why) for one in alone] == [
        ("worker_down", LINK[0], False)
    ]


def test_one_of_several_that_is_down_does_not_explain_the_link_to_another_one() -> None:
    mine = died(100, streams=["door"])
    link = died(
        100,
        who=LINK,
        cause="link lost",
        patience_ns=NO_ANSWER_NS + DIED_NS,
        streams=["yard"],
    )
    told = Sink().look(20, mine, link)
    assert [(one.why["worker"], one.stream_id) for one in told] == [("inference", "door"), (LINK[0], "yard")]
    both = died(100, who=("inference-2", "gpu"), streams=["yard"])
    assert len(Sink().look(20, mine, both, link._replace(streams=None))) == 2, "all of it is explained"
    assert len(Sink().look(20, mine, link._replace(streams=None))) == 2


def test_a_sink_that_takes_over_tells_it_anew_and_answers_for_both() -> None:
    sink = Sink()
    sink.look(10, died(100))
    (end,) = sink.watch.end("the sink was killed", sink.now_ns)
    assert end.why["ended"] == "the sink was killed"
    assert sink.watch.end("again", sink.now_ns) == []
    is_back, is_down = Sink(112), Sink(112)
    for other in (is_back, is_down):
        other.watch.down_before(end)
    (up,) = is_back.look(10)
    assert (up.kind, up.stream_id, up.for_s) == ("worker_up", "door", 12.25)
    told = is_down.look(10, died(100)) + is_down.look(5)
    assert kinds(told) == [*DOWN]
    assert told[0].id != end.start
    assert unix_ns(told[0].time) == 112 * SECOND
    assert told[2].for_s == 22.25


def told_in(file: Path) -> list[tuple[str, str]]:
    lines = file.read_text().splitlines() if file.exists() else []
    return [(one["kind"], one["phase"]) for one in map(json.loads, lines)]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_inference_worker_that_is_killed_is_told_once_whoever_else_dies_meanwhile(place: Path) -> None:
    film = camera_film(place / "film.mp4", frames=7500)
    camera = streams({"id": "front", "source": str(film), "policy": "newest"})
    slow = ("--set", "run.restart_backoff_s=[4.0]", "--set", "sink.latency_limit_ms=0")
    with Pipeline(place, *camera, *slow, "--events", "events.jsonl") as run:
        file = run.folder / "events.jsonl"
        run.wait_for_overlays("front", 5)
        run.kill("inference")
        until(lambda: DOWN[2] in told_in(file), "it is up again", 60.0)
        assert told_in(file) == [*DOWN]
        os.kill(run.pid("inference"), signal.SIGKILL)
        until(lambda: len(told_in(file)) == 4, "it is down again", 60.0)
        run.kill("sink")
        until(lambda: DOWN[2] in told_in(file)[4:], "it is up again", 60.0)
        run.signal(signal.SIGINT)
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    told = [json.loads(line) for line in file.read_text().splitlines()]
    starts = {one["id"] for one in told if one["phase"] == "start"}
    assert sorted(one["start"] for one in told if one["phase"] == "end") == sorted(starts)
    ups = [one for one in told if one["kind"] == "worker_up"]
    assert [one["for_s"] >= 4.0 for one in ups] == [True, True]
    assert {one["stream_id"] for one in told} == {"front"}
    assert told[0]["why"]["worker"] == "inference"
    assert told[0]["why"]["cause"] == "the process died"
    assert "is up again after" in outcome.out
