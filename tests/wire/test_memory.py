"""However many streams a peer makes up, what their frames hold in a receiver is bounded."""

from pathlib import Path

import msgspec
import numpy as np

from pipeline.base.frame import Frame, FrameId
from pipeline.wire import encoding, messages
from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.publisher import Publisher
from tests.wire.peers import OPEN, QUICK, until

SIDE = 600
FRAME_BYTES = SIDE * SIDE * 3
STREAMS = 12
SMALL = msgspec.structs.replace(QUICK, max_memory_mb=4.5 * FRAME_BYTES / 2**20)


def jpeg(stream_id: str, policy: str, seq: int = 0) -> list[messages.Part]:
    """A picture that is small on the wire, and large once it is decoded."""
    frame = Frame(FrameId(stream_id, 1, 0, seq), np.zeros((SIDE, SIDE, 3), np.uint8), 1, policy=policy)
    return encoding.encode_frame(frame, "jpeg", 90, sent_ns=2)


def test_live_frames_of_many_streams_are_dropped_once_they_hold_too_much(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        Publisher(endpoint, QUICK, OPEN, queue=64) as publisher,
        FrameReceiver([endpoint], "sink", SMALL, OPEN) as receiver,
    ):
        until(lambda: publisher.listeners()["sink"] == 1, "it listens")
        held = []

        def fill() -> bool:
            for number in range(STREAMS):
                publisher.send(jpeg(f"made-up-{number}", "newest"))
            held.extend(item.decode() for item in receiver.poll(0.1) if isinstance(item, ReceivedFrame))
            return receiver.rejects.counts.get("memory", 0) > 2 * STREAMS

        until(fill, "most are refused")
        assert len(held) == 4
        assert "wire.max_memory_mb" in receiver.rejects.latest["memory"]
        first = held.pop(0).image[:1]
        refused = receiver.rejects.counts["memory"]
        publisher.send(jpeg("made-up-0", "newest", 1))
        until(lambda: not receiver.poll(0.1) and receiver.rejects.counts["memory"] > refused, "still in use")
        del first
        publisher.send(jpeg("made-up-0", "newest", 2))
        until(lambda: bool(receiver.poll(0.1)), "what was let go makes room")


def test_frames_that_must_not_be_dropped_wait_instead(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        Publisher(endpoint, QUICK, OPEN, queue=64) as publisher,
        FrameReceiver([endpoint], "sink", SMALL, OPEN) as receiver,
    ):
        until(lambda: publisher.listeners()["sink"] == 1, "it listens")
        for number in range(STREAMS):
            assert publisher.send(jpeg(f"file-{number}", "every"), timeout_s=10.0)
        held = [item.decode() for item in receiver.poll(5.0) if isinstance(item, ReceivedFrame)]
        until(
            lambda: not held.extend(item.decode() for item in receiver.poll(0.05)) and len(held) >= 5, "some"
        )
        assert receiver.poll(0.2) == []
        assert len(held) == 5, "the last one goes over the limit"
        count = len(held)
        while count < STREAMS:
            held.clear()
            held += [item.decode() for item in receiver.poll(5.0)]
            count += len(held)
        assert receiver.rejects.counts == {}
