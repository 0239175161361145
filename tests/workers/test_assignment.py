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

FRAMES = 150


def lines(fleet: Fleet) -> list[dict[str, object]]:
    text = (fleet.sink.folder / "predictions.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
def test_a_stream_that_moves_back_and_forth_loses_no_frame_and_no_memory(place: Path) -> None:
    film = write_video(place / "film.mp4", frames=FRAMES, width=320, height=240)
    with Fleet(place) as fleet:
        assert fleet.own("left", "film", 0) == 201
        camera = fleet.capture("--source", str(film), "--pace")
        pair = ["left", "right"]
        for generation in range(1, 5):
            before = len(lines(fleet))
            until(lambda: len(lines(fleet)) >= before + 15, "it goes on", START_S, fleet.told)  # noqa: B023
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
