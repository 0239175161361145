"""Streams move between inference workers that were started by themselves."""

import contextlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from pipeline.base.clock import now_ns
from pipeline.base.config import load_config
from pipeline.view.web.verbs import BEGIN_S, END_S, Asked, Done, VerbError
from pipeline.wire.frame_publisher import FramePublisher
from pipeline.wire.receivers import PredictionReceiver
from tests.video.clips import write_video
from tests.wire.peers import OPEN, QUICK, frame
from tests.wire.shared_helpers import capture
from tests.workers.films import camera_film
from tests.workers.pipeline import small_checkpoint, streams
from tests.workers.program import START_S, until
from tests.workers.test_batches import taken
from tests.workers.told_workers import Fleet
from workers.inference import InferenceWorker

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
        assert taken == (200, "refused: it has another format or version")
        load = fleet.ask("left", "GET", "/load").body
        assert (load["worker"], set(load["streams"])) == ("left", {"gate", "yard"})
        assert load["streams"]["yard"] == {
            "generation": 7, "fps": 0.0, "work": 0.0, "dropped_per_s": 0.0, "age_ms": None
        }  # fmt: skip
        assert left("DELETE", "/streams/yard?generation=7")[0] == 204


class Saying(InferenceWorker):
    """Keeps what it said: events are forgotten once they are sent."""

    def open(self) -> None:
        self.said: list[str] = []
        super().open()

    def event(self, text: str) -> None:
        self.said.append(text)
        super().event(text)


@dataclass
class Pair:
    """Two inference workers in this process, and one who sends them frames of ``door`` that none may miss."""

    workers: list[Saying]
    publisher: FramePublisher
    predictions: list[str]
    sent: int = 0
    got: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._verbs = [{(verb.method, verb.path): verb.do for verb in one.verbs()} for one in self.workers]

    def tick(self) -> bool:
        left, right = (worker.tick(0.005) for worker in self.workers)
        return left and right

    def send(self) -> bool:
        """Sends the next frame if there is room for it."""
        if not self.publisher.send_frame(frame(self.sent, "every")):
            return False
        self.sent += 1
        return True

    def predict(self, sink: PredictionReceiver, count: int) -> None:
        """Sends so many more, and takes predictions until that of the last one is there."""
        last = self.sent + count

        def done() -> bool:
            if self.sent < last:
                self.send()
            self.tick()
            self.got += [one.prediction.seq for one in taken(sink)]
            return self.got[-1:] == [last - 1]

        until(done, "the last prediction", START_S, lambda: str(self.got))

    def fill(self) -> int:
        """Sends frames until there is room for no more; how many those were."""
        before = self.sent
        misses = 0
        while misses < 20:
            misses = 0 if self.send() else misses + 1
            self.tick()
        return self.sent - before

    def post(self, number: int, stream_id: str, generation: int, state: str) -> Done:
        body = {"stream_id": stream_id, "generation": generation, "state": state}
        return self._verbs[number]["POST", "/streams"](Asked(body=json.dumps(body).encode()))

    def ask(self, number: int, method: str, generation: int, body: bytes = b"") -> Done:
        asked = Asked({"stream_id": "door"}, {"generation": str(generation)}, body)
        return self._verbs[number][method, "/streams/{stream_id}"](asked)

    def not_predicted(self) -> list[dict[str, int]]:
        return [one.stats.stream("door").not_predicted for one in self.workers]


@contextlib.contextmanager
def pair_of_workers(place: Path, *more: str) -> Iterator[tuple[Pair, PredictionReceiver]]:
    """Both run, and their predictions are heard; the first owns ``door`` and has predicted three frames."""
    frames, predictions = f"ipc://{place}/frames", [f"ipc://{place}/predictions-{n}" for n in range(2)]
    settings = [f"inference.checkpoint={small_checkpoint()}", "runtime.backend=torch", "inference.threads=1"]
    settings += ["inference.assigned=true", f"endpoints.frames=['{frames}','{frames}-2']", *more]
    with contextlib.ExitStack() as stack:
        workers = []
        for number, at in enumerate(predictions):
            config = load_config(None, [*settings, f"endpoints.predictions=['{at}']"])
            workers.append(Saying(config, f"inference-{number}"))
            stack.enter_context(workers[-1].resources)
            workers[-1].open()
        sender = FramePublisher(frames, QUICK, OPEN, capture(encoding="raw"), streams=1)
        pair = Pair(workers, stack.enter_context(sender), predictions)
        sink = stack.enter_context(PredictionReceiver(predictions, QUICK, OPEN))
        until(lambda: pair.tick() and all(one.receiver for one in workers), "the sink is heard", START_S)
        assert pair.post(0, "door", 0, "owned").code == 201

        def is_taken() -> bool:
            pair.tick()
            pair.publisher.listeners()  # which takes in who has come
            return bool(pair.publisher.audience.readers("every", "door"))

        until(is_taken, "it is taken", START_S)
        pair.predict(sink, 3)
        yield pair, sink


@pytest.mark.slow
@pytest.mark.parametrize("cause", ["sink", "memory"])
def test_what_the_former_owner_does_not_get_through_is_predicted_by_the_next_or_counted(
    cause: str, place: Path
) -> None:
    """Frames wait in its queue, as nobody takes its predictions or another stream uses up the memory."""
    one_frame = f"wire.max_memory_mb={240 * 240 * 3 / 2**20}"
    with pair_of_workers(place, *([one_frame] if cause == "memory" else [])) as (pair, sink):
        left, right = pair.workers
        if cause == "memory":
            assert pair.post(0, "yard", 1, "standby").code == 201
            waits = left.standby["yard"]

            def arrived() -> bool:
                pair.publisher.send_frame(frame(0, "newest", "yard"))
                return pair.tick() and waits.has_begun

            until(arrived, "the memory is used up", START_S)
        else:
            sink.close()
            until(lambda: pair.tick() and not left.publisher.listeners(), "the sink is gone")
        waiting = pair.fill()
        assert waiting > 0
        assert pair.post(1, "door", 1, "standby").code == 201
        standby_ns = right.standby["door"].until_ns - now_ns()
        assert standby_ns > (BEGIN_S + END_S) * 1e9, "it outlives whatever DELETE takes"
        memory = pair.ask(0, "DELETE", 0).body
        assert any("door: released with unfinished frames" in line for line in left.said)
        with PredictionReceiver(pair.predictions, QUICK, OPEN) as sink_again:
            until(
                lambda: pair.tick() and all(one.publisher.listeners() for one in pair.workers), "it is back"
            )
            assert pair.ask(1, "PUT", 1, memory).body["memory"] == "taken"
            pair.predict(sink_again, 3)
    lost = pair.sent - len(pair.got)
    assert 0 < lost <= waiting
    assert pair.not_predicted() == [{}, {"inference.stopped": lost}]
    said = f"door: {lost} frames that only its former worker received are not predicted"
    assert right.said.count(said) == 1
    assert pair.got == sorted(set(pair.got)), "none is predicted twice"


@pytest.mark.slow
def test_a_sink_that_takes_nothing_holds_up_no_other_stream_of_a_worker_that_hands_over(place: Path) -> None:
    with pair_of_workers(place) as (pair, _):
        left = pair.workers[0]
        assert pair.post(0, "yard", 0, "owned").code == 201
        stop = threading.Event()

        def feed() -> None:
            with FramePublisher(f"ipc://{place}/frames-2", QUICK, OPEN, capture(encoding="raw")) as publisher:
                seq = 0
                while not stop.wait(0.02):
                    sent = replace(frame(seq, "newest", "yard"), capture_ns=now_ns())
                    seq += publisher.send_frame(sent)

        feeder = threading.Thread(target=feed)
        feeder.start()
        try:
            until(lambda: pair.tick() and left.stats.stream("yard").predicted, "yard is predicted", START_S)
            predicted: list[int] = []
            settle = left.publisher.settle
            assert pair.post(1, "door", 1, "standby").code == 201

            def settled(*args: object) -> bool:
                before = left.stats.stream("yard").predicted
                done = settle(*args)  # type: ignore[arg-type]
                predicted.append(left.stats.stream("yard").predicted - before)
                return done

            left.publisher.settle = settled  # type: ignore[method-assign,assignment]
            assert pair.ask(0, "DELETE", 0).code == 200
        finally:
            stop.set()
            feeder.join()
    assert len(predicted) == 2
    assert min(predicted) > 0


@pytest.mark.slow
def test_a_stream_on_standby_that_nobody_gives_is_left(place: Path) -> None:
    with pair_of_workers(place) as (pair, _):
        right = pair.workers[1]
        assert pair.post(1, "door", 1, "standby").code == 201
        right.standby["door"].until_ns = now_ns()
        until(lambda: pair.tick() and not right.standby, "it is left")
        assert "door: released: on standby for 60 s without being assigned" in right.said
        with pytest.raises(VerbError, match="door is not on standby here"):
            pair.ask(1, "PUT", 1)
