"""Whom a worker waits for is reported when that takes longer than a start, and taken back when it is over."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from pipeline.wire.frame_receiver import FrameReceiver
from tests.support import free_port
from tests.wire.peers import OPEN, QUICK
from tests.workers.pipeline import Pipeline
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
