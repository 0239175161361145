"""A cable that is cut is noticed and reported, and nothing old comes through once it is mended."""

import time
from dataclasses import replace
from multiprocessing.connection import Connection

import msgspec
import pytest

from pipeline.base.clock import now_ns
from pipeline.flow.freshness.ages import Feedback
from pipeline.wire import encoding
from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.publisher import Publisher
from tests.rigs.cut_link import CutLink, Machine
from tests.wire.peers import CONFIG, OPEN, answer, frame, program, security, until

PORT = 5600
INSECURE = security(insecure=True)
FRAME_S = 0.02
FEEDBACK = Feedback(
    stream_id="door", session=1, sent_ns=1, age_ms=1.0, transit_ms=1.0, step_ms=1.0, since_ns=1
)


def publish(connection: Connection, machine: Machine) -> None:
    """Sends live frames with the time at which they were made, until it is killed."""
    machine.enter()
    with Publisher(f"tcp://{machine.address}:{PORT}", CONFIG.wire, INSECURE) as publisher:
        connection.send("up")
        for seq in range(1_000_000):
            made = replace(frame(seq, side=60), capture_ns=now_ns())
            publisher.send(encoding.encode_frame(made, "raw", 90, now_ns()))
            publisher.pop_feedback()
            time.sleep(FRAME_S)


def receive(connection: Connection, machine: Machine, endpoint: str) -> None:
    """Passes on link events and the capture times of frames, while it sends feedback."""
    machine.enter()
    with FrameReceiver([endpoint], "inference", CONFIG.wire, INSECURE) as receiver:
        while True:
            frames = [item for item in receiver.poll(0.1) if isinstance(item, ReceivedFrame)]
            receiver.send_feedback(FEEDBACK)
            events = receiver.pop_link_events()
            if frames or events:
                connection.send((events, receiver.links, [item.header.capture_ns for item in frames]))


@pytest.mark.parametrize("timeout_ms", [128_000, 3_600_000])
def test_a_long_time_out_connects(timeout_ms: int) -> None:
    wire = msgspec.structs.replace(CONFIG.wire, heartbeat_ms=1000, heartbeat_timeout_ms=timeout_ms)
    with (
        Publisher("tcp://127.0.0.1:0", wire, OPEN) as publisher,
        FrameReceiver([publisher.endpoint], "sink", wire, OPEN) as receiver,
    ):
        until(lambda: not receiver.poll(0.01) and publisher.listeners()["sink"] == 1, "they connect")


@pytest.mark.slow
def test_a_cut_link_is_reported_and_nothing_old_comes_through_it_afterwards() -> None:
    with CutLink() as link:
        endpoint = f"tcp://{link.far.address}:{PORT}"
        name = f"capture at {endpoint}"
        with program(publish, link.far) as (_, far), program(receive, link.near, endpoint) as (_, near):
            times: list[int] = []

            def next_event() -> tuple[str, dict[str, str]]:
                while True:
                    events, states, more = answer(near)
                    times.extend(more)
                    if events:
                        return events[0], states

            assert answer(far) == "up"
            assert answer(near)[2], "frames come"
            link.cut()
            cut_ns = now_ns()
            assert next_event() == (f"{name}: link lost", {name: "lost"})
            noticed_ns = now_ns()
            times.clear()
            link.mend()
            mended_ns = now_ns()
            assert next_event() == (f"{name}: link is back", {name: "up"})
            print("noticed", (noticed_ns - cut_ns) / 1e9, "back", (now_ns() - mended_ns) / 1e9)
            while len(times) < 50:
                times += answer(near)[2]
            assert [time_ns for time_ns in times if time_ns < noticed_ns] == []
