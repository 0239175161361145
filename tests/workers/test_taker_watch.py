"""A stream that only capture has in its list: told where it is captured, and taken back."""

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.base.role_names import Listener
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.publisher import Publisher
from pipeline.wire.receivers import StatsReceiver
from tests.support import free_port
from tests.wire.peers import OPEN, QUICK
from tests.workers.pipeline import streams
from tests.workers.program import START_S, Program, until

LEFT_OUT = "capture: gate: no inference worker has taken it: check their [[streams]], or assign it"
TAKEN = "capture: gate: an inference worker has taken it"


def test_a_stream_that_is_missing_in_the_lists_of_inference_is_told_and_taken_back(place: Path) -> None:
    frames, figures = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    cameras = streams(*({"id": name, "source": "demo"} for name in ("door", "gate")))
    own = ("--set", f"endpoints.frames=['{frames}']", "--set", f"endpoints.capture_stats=['{figures}']")
    with (
        Program(place, "capture", *cameras, *own) as capture,
        FrameReceiver([frames], "sink", QUICK, OPEN) as sink,
        FrameReceiver([frames], "inference", QUICK, OPEN, ["door"]) as inference,
        StatsReceiver({"capture": [figures]}, QUICK, OPEN) as heard,
    ):

        def told(words: str, left_out: dict[str, bool]) -> bool:
            for receiver in (sink, inference):
                receiver.poll(0.05)
            found = [{name: one.is_left_out for name, one in stats.streams.items()} for stats in heard.poll()]
            return words in capture.out and left_out in found

        until(
            lambda: told(LEFT_OUT, {"door": False, "gate": True}), "it is told", START_S, lambda: capture.out
        )
        inference.begin("gate")
        until(lambda: told(TAKEN, {"door": False, "gate": False}), "it is taken back", START_S)
        assert capture.out.count(LEFT_OUT) == 1
        assert "door: no inference" not in capture.out
        capture.signal(signal.SIGINT)
        assert capture.finish().code == 0


@pytest.mark.parametrize(
    ("readers", "left_out"),
    [
        ({"sink": [None]}, []),
        ({"sink": [None], "inference": [None]}, []),
        ({"sink": [None, None], "inference": [["door"], ["yard"]]}, ["gate"]),
        ({"sink": [], "inference": [["door"]]}, ["gate", "yard"]),
        ({"sink": [None], "inference": [["door"], None]}, []),
    ],
)
def test_only_what_no_inference_worker_takes_is_left_out(
    place: Path, readers: dict[Listener, list[list[str] | None]], left_out: list[str]
) -> None:
    endpoint = f"ipc://{place}/frames"
    with ExitStack() as opened:
        publisher = opened.enter_context(Publisher(endpoint, QUICK, OPEN))
        for role, several in readers.items():
            for names in several:
                opened.enter_context(FrameReceiver([endpoint], role, QUICK, OPEN, names))
        wanted = {role: len(several) for role, several in readers.items() if several}
        until(lambda: dict(publisher.listeners()) == wanted, "all are there", START_S)
        found = [name for name in ("door", "gate", "yard") if publisher.audience.is_left_out(name)]
        assert found == left_out
