"""The sink's HTTP API in a whole run."""

import http.client
import json
import signal
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.account.stats import StreamStats
from pipeline.wire.encoding import encode_prediction
from pipeline.wire.frame_publisher import FramePublisher
from pipeline.wire.publisher import Publisher
from pipeline.wire.receivers import StatsReceiver
from tests.wire.peers import OPEN, QUICK, frame, prediction
from tests.wire.shared_helpers import capture
from tests.workers.pipeline import Pipeline
from tests.workers.program import START_S, Program, until

WEB = ("--set", "sink.web=true", "--set", "sink.web_port=0")
ZONE = ("--zone", "road=0.1,0.1,0.9,0.1,0.9,0.9")


def get(url: str, path: str) -> tuple[int, bytes]:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body


@pytest.mark.slow
def test_other_programs_see_what_runs(place: Path) -> None:
    with Pipeline(place, *WEB, *ZONE, "--pace") as run:

        def address() -> str:
            stats = run.stats("sink")
            return str(stats.details["web"]["url"]) if stats and "web" in stats.details else ""

        url = until(address, "the page is served", START_S)
        until(lambda: get(url, "/readyz")[0] == 200, "a stream with predictions", START_S)
        (stream,) = json.loads(get(url, "/api/streams")[1])
        assert (stream["id"], stream["state"], stream["health"]) == ("demo", "live", "ok")
        assert stream["label"]
        status, jpeg = get(url, "/api/streams/demo/snapshot.jpg")
        assert (status, jpeg[:2]) == (200, b"\xff\xd8")
        assert list(json.loads(get(url, "/api/zones")[1])["zones"]) == ["road"]

        def looked_at() -> list[str | None]:
            status, answer = get(url, "/api/streams/demo/attention?x=0.5&y=0.5&pictures=true")
            told = json.loads(answer)
            return [one["picture"] for one in [told, *told["past"]]] if status == 200 else []

        pictures = until(looked_at, "a prediction with a past", START_S)
        assert all(one and one.startswith("data:image/jpeg;base64,") for one in pictures)
        assert get(url, "/api/events?since=1h&stream=demo")[0] == 200

        def metrics() -> dict[tuple[str, ...], float]:
            families = text_string_to_metric_families(get(url, "/metrics")[1].decode())
            return {
                (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
                for family in families
                for sample in family.samples
            }

        until(lambda: metrics().get(("kvq_frames_total", "rendered", "demo"), 0) > 0, "frames", START_S)
        found = metrics()
        assert found["kvq_prediction_age_seconds", "demo"] < 60
        assert found["kvq_stage_latency_seconds_count", "draw"] > 0
        up = {name: value for (metric, name, *_), value in found.items() if metric == "kvq_worker_up"}
        assert up == {"sink": 1}, "of workers on this machine it has no links that it could see break"
        run.signal(signal.SIGINT)
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    assert outcome.stream("demo")["rendered"] > 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_evidence_of_an_event_is_served(place: Path) -> None:
    shipped = ("--set", "inference.checkpoint=motion_resnet18")
    gate = ("--line", "gate=0.5,0.15,0.5,0.95", "--set", "evidence.after_s=0.2")
    with Pipeline(place, *WEB, *shipped, *gate, "--pace") as run:

        def address() -> str:
            stats = run.stats("sink")
            return str(stats.details["web"]["url"]) if stats and "web" in stats.details else ""

        url = until(address, "the page is served", START_S)

        def crossed() -> list[str]:
            status, body = get(url, "/api/events?kind=crossed")
            return [one["id"] for one in json.loads(body)] if status == 200 else []

        first = until(crossed, "something crosses", START_S)[-1]
        until(
            lambda: json.loads(get(url, f"/api/events/{first}/evidence")[1])["complete"],
            "the evidence is complete",
            START_S,
        )
        for name in ("snapshot.jpg", "overlay.jpg"):
            status, body = get(url, f"/api/events/{first}/evidence/{name}")
            assert (status, body[:2]) == (200, b"\xff\xd8")
        for name in ("clip.mp4", "overlay.mp4"):
            status, body = get(url, f"/api/events/{first}/evidence/{name}")
            assert (status, body[4:8]) == (200, b"ftyp")
        run.signal(signal.SIGINT)
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()


@pytest.mark.slow
def test_answers_of_a_former_owner_are_neither_joined_nor_written(place: Path) -> None:
    """The former owner answers two frames after the next one has answered the first of them."""
    frames, former, owner, told = (f"ipc://{place}/{name}" for name in ("frames", "old", "new", "stats"))
    places = {"frames": [frames], "predictions": [former, owner], "sink_stats": [told]}
    options = [f"endpoints.{name}={where}" for name, where in places.items()]
    options += ["sink.web=false", "run.output_dir=", "sink.patience_ms=500"]
    with (
        FramePublisher(frames, QUICK, OPEN, capture(encoding="raw")) as camera,
        Publisher(former, QUICK, OPEN) as old,
        Publisher(owner, QUICK, OPEN) as new,
        StatsReceiver({"sink": [told]}, QUICK, OPEN) as stats,
        Program(place, "sink", "--predictions", "p.jsonl", *(f"--set={text}" for text in options)) as sink,
    ):
        for publisher in (camera, old, new):
            until(lambda one=publisher: one.listeners()["sink"], "it listens", START_S, lambda: sink.out)  # type: ignore[misc]
        newest: list[StreamStats] = []

        def count(name: str) -> int:
            newest.extend(one.streams["door"] for one in stats.poll(0.05) if "door" in one.streams)
            return getattr(newest[-1], name) if newest else 0

        def answer(publisher: Publisher, generation: int, seq: int) -> None:
            parts = encode_prediction(prediction(seq, "every", generation=generation))
            until(lambda: publisher.send(parts), "room")

        for seq, (publisher, generation) in enumerate([(old, 0), (new, 1), (old, 0), (old, 0), (new, 1)]):
            assert camera.send_frame(frame(seq, "every"), timeout_s=10.0)
            answer(publisher, generation, seq)
            until(lambda seq=seq: count("rendered") == seq + 1, f"{seq} is shown", START_S, lambda: sink.out)  # type: ignore[misc]
        assert sum(newest[-1].rendered_without.values()) == 2
        sink.wait_for("door: an answer of generation 0 is refused")
        sink.signal(signal.SIGINT)
        outcome = sink.finish()
    lines = [json.loads(line) for line in (sink.folder / "p.jsonl").read_text().splitlines()]
    assert [(line["seq"], line["generation"]) for line in lines] == [(0, 0), (1, 1), (4, 1)], outcome.told()
    assert outcome.out.count("is refused") == 1
