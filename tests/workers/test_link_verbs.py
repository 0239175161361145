"""Workers that are told whom to listen to while they run."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pipeline.wire.encoding import encode_prediction
from pipeline.wire.publisher import Publisher
from tests.rigs.http import ask
from tests.wire.peers import OPEN, QUICK, frame, prediction, until
from tests.wire.shared_helpers import publisher_at
from tests.workers.pipeline import quick_model
from tests.workers.program import START_S, Program


@contextmanager
def sink(place: Path) -> Iterator[str]:
    """A sink that is asked at the address."""
    address = f"unix:{place}/control"
    own = ("--set", f"control.listen={address}", "--set", "run.output_dir=", "--set", "sink.web=false")
    with Program(place, "sink", *own) as program:
        program.wait_for("control: unix:")
        yield address


def heard(publisher: Publisher, role: str, readers: int) -> None:
    until(lambda: publisher.listeners()[role] == readers, f"{readers} of {role} listen", START_S)


def test_a_sink_connects_and_disconnects(place: Path) -> None:
    at = {name: f"ipc://{place}/{name}" for name in ("camera", "left", "right")}
    with (
        sink(place) as address,
        Publisher(at["camera"], QUICK, OPEN) as camera,
        Publisher(at["left"], QUICK, OPEN) as left,
        Publisher(at["right"], QUICK, OPEN) as right,
    ):
        links = {"frames": [at["camera"]], "predictions": [at["left"], at["right"]]}
        assert ask(address, "PUT", "/links", links) == (200, links)
        for publisher in (camera, left, right):
            heard(publisher, "sink", 1)
        assert ask(address, "PUT", "/links", {"predictions": [at["right"]]}).code == 200
        heard(left, "sink", 0)
        assert ask(address, "GET", "/links") == (200, links | {"predictions": [at["right"]]})
        assert right.listeners()["sink"] == camera.listeners()["sink"] == 1
        assert ask(address, "PUT", "/links", {"frames": [], "predictions": []}).code == 200
        heard(camera, "sink", 0)


def test_a_sink_tells_the_generation_that_it_has_seen_last(place: Path) -> None:
    at = {name: f"ipc://{place}/{name}" for name in ("camera", "left")}
    with (
        sink(place) as address,
        publisher_at(at["camera"]) as camera,
        Publisher(at["left"], QUICK, OPEN) as left,
    ):
        assert ask(address, "GET", "/streams") == (200, {"streams": []})
        links = {"frames": [at["camera"]], "predictions": [at["left"]]}
        assert ask(address, "PUT", "/links", links).code == 200
        heard(left, "sink", 1)

        def told(seq: int, generation: int) -> bool:
            camera.send_frame(frame(seq, "newest", "door"))
            left.send(encode_prediction(prediction(seq, "newest", generation=generation)))
            known = {"stream_id": "door", "generation": generation}
            return bool(ask(address, "GET", "/streams").body == {"streams": [known]})

        for generation in (3, 4):
            seqs = count(100 * generation)
            until(lambda: told(next(seqs), generation), f"it has seen {generation}")  # noqa: B023


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"frames": ["tcp://host"]}, "tcp://host: not an endpoint"),
        ({"frames": [], "predictions": ["tcp://127.0.0.1:0"]}, "tcp://127.0.0.1:0"),
        ({"stats": []}, "stats"),
        ({"frames": "tcp://host:5555"}, "frames"),
    ],
)
def test_links_that_can_not_be_are_one_line_and_change_nothing(
    body: dict[str, Any], said: str, place: Path
) -> None:
    with sink(place) as address:
        before = ask(address, "GET", "/links").body
        code, told = ask(address, "PUT", "/links", body)
        assert (code, said in told["error"], "\n" in told["error"]) == (400, True, False), told
        assert ask(address, "GET", "/links").body == before


@pytest.mark.slow
def test_inference_that_still_waits_for_the_sink_connects_to_what_it_was_told_last(place: Path) -> None:
    address, frames = f"unix:{place}/control", f"ipc://{place}/frames"
    own = ("--set", f"control.listen={address}", "--set", "inference.wait_for=[]", *quick_model())
    with Program(place, "inference", *own) as program, Publisher(frames, QUICK, OPEN) as publisher:
        program.wait_for("control: unix:")
        code, told = ask(address, "PUT", "/links", {"predictions": []})
        assert (code, told["error"]) == (400, "predictions: inference connects only to frames")
        assert ask(address, "PUT", "/links", {"frames": [frames]}) == (200, {"frames": [frames]})
        heard(publisher, "inference", 1)
