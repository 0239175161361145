"""A worker reports another one that it cannot reach, with the reason, and when it can."""

import signal
import threading
from pathlib import Path

import msgspec

from pipeline.base.config import load_config
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.publisher import Publisher
from pipeline.wire.receivers import PredictionReceiver
from tests.support import free_port, until
from tests.wire.peers import OPEN, QUICK, security
from tests.workers.pipeline import quick_model
from tests.workers.program import START_S, Program
from workers.awaited_links import AwaitedLinks
from workers.roles import Endpoint

UNKNOWN = "tcp://camera.invalid:5601"


def test_inference_reports_capture_before_it_has_a_sink_and_when_it_connects(place: Path) -> None:
    frames, predictions = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    own = ("--set", f"endpoints.frames=['{frames}']", "--set", f"endpoints.predictions=['{predictions}']")
    with Program(place, "inference", *own, *quick_model()) as inference:
        waiting = (
            f"inference: waiting for capture at {frames}: connection refused; "
            "check the address, that capture runs, and the firewall\n"
        )
        until(lambda: waiting in inference.out, "the reason", START_S, lambda: inference.out)
        with (
            Publisher(frames, QUICK, OPEN) as capture,
            PredictionReceiver([predictions], QUICK, OPEN) as sink,
        ):

            def is_connected() -> bool:
                sink.poll(0.01)
                capture.listeners()
                return f"inference: capture at {frames}: connected\n" in inference.out

            until(is_connected, "the link", START_S, lambda: inference.out)
        assert inference.out.count("waiting for capture") == 1, "rarely"
        inference.signal(signal.SIGINT)
        outcome = inference.finish()
    assert outcome.code == 0, outcome.told()


def test_a_sink_names_an_unknown_host_once(place: Path) -> None:
    config = load_config()
    endpoints = msgspec.structs.replace(
        config.endpoints, frames=[UNKNOWN], predictions=[f"ipc://{place}/predictions"]
    )
    events: list[str] = []
    links = AwaitedLinks("sink", events.append, 0.0)

    def look(*listening: Endpoint) -> bool:
        links.look(endpoints, listening, {})
        return bool(events)

    until(look, "the reason")
    assert events == [
        f"waiting for capture at {UNKNOWN}: host 'camera.invalid' is not known; "
        "check the address, that capture runs, and the firewall"
    ], "ipc is not reported"


def test_what_the_receiver_reports_itself_is_not_reported_twice() -> None:
    endpoints = msgspec.structs.replace(
        load_config().endpoints, frames=[UNKNOWN], predictions=[UNKNOWN.replace("5601", "5602")]
    )
    events: list[str] = []
    links = AwaitedLinks("sink", events.append, 0.0)
    with FrameReceiver([UNKNOWN], "sink", QUICK, security(insecure=True)) as receiver:

        def look() -> bool:
            receiver.poll(0.01)
            links.look(endpoints, ["frames"], receiver.links)
            return bool(events) and not any(thread.name == "kvq-reach" for thread in threading.enumerate())

        until(look, "the report of the link without a receiver, and the end of both attempts")
        look()
        assert any("is not known" in report for report in receiver.rejects.pop_reports())
    assert [event.partition(":5")[2][:3] for event in events] == ["602"]
