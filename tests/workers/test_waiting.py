"""Whom a worker waits for is reported when that takes longer than a start, and taken back when it is over."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.messages import EndOfStream
from tests.support import free_port
from tests.wire.peers import OPEN, QUICK
from tests.workers.films import camera_film
from tests.workers.pipeline import Pipeline, streams
from tests.workers.program import START_S, Program, until

SLOW_START_S = 7.0


def test_a_worker_alone_reports_for_whom_it_waits_and_that_it_no_longer_does(place: Path) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    own = ("--set", f"endpoints.frames=['{endpoint}']")
    with Program(place, "capture", "--source", "demo", *own) as capture:
        capture.wait_for(r"capture: waiting for inference and sink to connect \(capture.wait_for\)")
        with FrameReceiver([endpoint], "sink", QUICK, OPEN) as sink:
            until(lambda: not sink.poll(0.1) and "waiting for inference to" in capture.out, "less", START_S)
            with FrameReceiver([endpoint], "inference", QUICK, OPEN) as inference:
                connected = "capture: inference and sink connected"
                until(lambda: inference.poll(0.1) and connected in capture.out, "the frames", START_S)
        capture.signal(signal.SIGINT)
        assert capture.finish().code == 0


@pytest.mark.slow
def test_a_slow_start_under_a_supervisor_is_no_event(place: Path) -> None:
    with Pipeline(place, "--frames", "5") as run:

        def inference() -> list[int]:
            names = {process.pid: process.info["name"] for process in psutil.process_iter(["name"])}
            return [pid for pid in run.members() if names.get(pid) == "kvq-inference"]

        (pid,) = until(inference, "the inference worker", START_S)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(SLOW_START_S)
        os.kill(pid, signal.SIGCONT)
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    assert "waiting for" not in outcome.out


def test_a_file_waits_only_for_those_who_take_it(place: Path) -> None:
    """Of two inference workers one goes: its file waits for it, that of the other is sent to its end."""
    film = camera_film(place / "film.mp4", frames=60, width=64, height=64)
    frames = f"ipc://{place}/frames"
    files = streams(*({"id": name, "source": str(film), "policy": "every"} for name in ("mine", "other")))
    options = ("--set", f"endpoints.frames=['{frames}']", "--set", "capture.wait_for=['inference']")
    shared = ("--set", "inference.shared_by=['left', 'right']")
    with (
        Program(place, "capture", *files, *options, *shared) as capture,
        FrameReceiver([frames], "inference", QUICK, OPEN, ["mine"]) as mine,
    ):
        got: list[int] = []
        with FrameReceiver([frames], "inference", QUICK, OPEN, ["other"]) as other:
            until(lambda: took(other, got, 1) >= 5, "frames of the other", START_S, lambda: capture.out)
        ended = False

        def has_ended() -> bool:
            nonlocal ended
            ended |= any(isinstance(one, EndOfStream) for one in mine.poll(0.05))
            return ended

        until(has_ended, "the end of mine", START_S, lambda: capture.out)
        assert capture.process.poll() is None, "the other file has not ended"
        with FrameReceiver([frames], "inference", QUICK, OPEN, ["other"]) as other:
            rest: list[int] = []
            until(lambda: took(other, rest, 64) and rest[-1] == 59, "the rest", START_S, lambda: capture.out)
        assert rest[0] > got[-1]
        assert rest == list(range(rest[0], 60)), "nothing of it went while nobody took it"


def took(receiver: FrameReceiver, seqs: list[int], most: int) -> int:
    seqs += [one.header.seq for one in receiver.poll(0.05, most) if isinstance(one, ReceivedFrame)]
    return len(seqs)
