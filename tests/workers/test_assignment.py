"""Streams move between inference workers that were started by themselves."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.video.clips import write_video
from tests.workers.films import camera_film
from tests.workers.fleet import Fleet
from tests.workers.pipeline import streams
from tests.workers.program import START_S, until

FRAMES = 400


def lines(fleet: Fleet) -> list[dict[str, object]]:
    text = (fleet.sink.folder / "predictions.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
def test_a_stream_that_moves_back_and_forth_loses_no_frame_and_no_memory(place: Path) -> None:
    """A file as fast as it can be predicted: at each move frames are on their way to both workers."""
    film = write_video(place / "film.mp4", frames=FRAMES, width=320, height=240)
    with Fleet(place) as fleet:
        assert fleet.own("left", "film", 0) == 201
        camera = fleet.capture("--source", str(film))
        pair = ["left", "right"]
        for generation in range(1, 5):
            before = len(lines(fleet))
            until(lambda: len(lines(fleet)) >= before + 30, "it goes on", START_S, fleet.told)  # noqa: B023
            assert fleet.move("film", generation, *pair) == "taken"
            pair.reverse()
        assert camera.finish().code == 0
        until(lambda: len(lines(fleet)) == FRAMES, "all predictions", START_S, fleet.told)
        report = fleet.end()
        got = lines(fleet)
    assert [line["seq"] for line in got] == list(range(FRAMES)), "each frame is predicted once"
    generations = [line["generation"] for line in got]
    assert generations == sorted(generations)  # type: ignore[type-var]
    assert set(generations) == set(range(5))
    full = {line["depth"] for line in got[6:]}  # two past frames, a tenth of a second apart
    assert full == {2}, "the memory came along each time"
    stream = report["streams"]["film"]
    assert (stream["captured"], stream["rendered"], stream["predicted"]) == (FRAMES, FRAMES, FRAMES)
    assert (stream["unaccounted"], stream["dropped"], stream["not_predicted"]) == (0, {}, {})
    assert stream["cache"]["resets"] == {}


@pytest.mark.slow
def test_a_worker_that_comes_back_from_the_dead_answers_nothing_twice(place: Path) -> None:
    """It stands still, its stream goes to another one, and it goes on."""
    film = camera_film(place / "film.mp4", frames=4000, width=320, height=240)
    camera = {"id": "film", "source": str(film), "policy": "newest", "pace": True}
    with Fleet(place) as fleet:
        assert fleet.own("left", "film", 0) == 201
        fleet.capture(*streams(camera))
        until(lambda: len(lines(fleet)) >= 5, "it is predicted", START_S, fleet.told)
        left = fleet.inference["left"].process.pid
        os.kill(left, signal.SIGSTOP)
        assert fleet.own("right", "film", 1) == 201
        until(lambda: lines(fleet)[-1]["generation"] == 1, "the other one predicts it", START_S, fleet.told)
        os.kill(left, signal.SIGCONT)
        until(lambda: "of generation 0 is refused" in fleet.sink.out, "it is refused", START_S, fleet.told)
        assert fleet.ask("left", "DELETE", "/streams/film?generation=0").code == 200
        got = lines(fleet)
    generations = [line["generation"] for line in got]
    assert generations == sorted(generations)  # type: ignore[type-var]
    assert len({line["seq"] for line in got}) == len(got), "no frame is answered twice"
    assert fleet.sink.out.count("is refused") == 1


@pytest.mark.slow
def test_what_a_worker_is_asked_is_checked(place: Path) -> None:
    with Fleet(place) as fleet:
        assert fleet.own("right", "late", 1, "standby") == 201

        def left(method: str, path: str, body: object = None) -> tuple[int, str]:
            code, told = fleet.ask("left", method, path, body)
            return code, told.get("error", told.get("memory", "")) if isinstance(told, dict) else ""

        assert fleet.ask("left", "GET", "/streams").body == {"streams": []}
        assert fleet.ask("left", "GET", "/healthz").body["state"] == "ready"
        wrong = {"stream_id": "a/b", "generation": 1, "state": "owned"}
        assert left("POST", "/streams", wrong)[0] == 400
        assert left("POST", "/streams", {**wrong, "stream_id": "a", "state": "mine"})[0] == 400
        assert left("POST", "/streams", {**wrong, "stream_id": "a", "generation": -1})[0] == 400
        assert [fleet.own("left", "gate", generation) for generation in (3, 3, 2, 4)] == [201, 200, 409, 200]
        assert fleet.own("left", "gate", 5, "standby") == 409
        assert left("DELETE", "/streams/gate?generation=3") == (409, "gate is at generation 4 here, not at 3")
        assert left("DELETE", "/streams/gate")[0] == 400
        assert left("DELETE", "/streams/yard?generation=1") == (404, "yard is not assigned to this worker")
        assert left("PUT", "/streams/gate?generation=4", b"")[0] == 404
        assert fleet.own("left", "yard", 7, "standby") == 201
        told = fleet.ask("left", "GET", "/streams").body["streams"]
        assert [tuple(one.values()) for one in told] == [("gate", 4, "owned"), ("yard", 7, "standby")]
        assert left("PUT", "/streams/yard?generation=8", b"")[0] == 409
        taken = left("PUT", "/streams/yard?generation=7", b"foreign")
        assert taken == (200, "refused: it is no memory of this version")
        load = fleet.ask("left", "GET", "/load").body
        assert (load["worker"], set(load["streams"])) == ("left", {"gate", "yard"})
        assert load["streams"]["yard"] == {
            "generation": 7, "fps": 0.0, "work": 0.0, "dropped_per_s": 0.0, "age_ms": None
        }  # fmt: skip
        assert left("DELETE", "/streams/yard?generation=7")[0] == 204
        until(
            lambda: fleet.ask("right", "GET", "/streams").body == {"streams": []},
            "a stream on standby that nobody gives is left",
            START_S,
            fleet.told,
        )
        assert "late: on standby for 10 s, and not given: left" in fleet.inference["right"].out
