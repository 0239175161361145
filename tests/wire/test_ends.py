"""Ends of live streams: cheap to repeat, acknowledged by all, and no burden for ever."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import zmq

from pipeline.wire import encoding
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.messages import EndOfStream
from pipeline.wire.publisher import Publisher
from tests.wire.peers import OPEN, QUICK, end, packed, until

LAST = encoding.encode_end(end(5, "newest"), "frames")


@contextmanager
def suspended(publisher: Publisher) -> Iterator["zmq.Socket[bytes]"]:
    """A receiver that never acknowledges."""
    with zmq.Context() as context, context.socket(zmq.SUB) as sock:
        sock.linger = 0
        sock.connect(publisher.endpoint)
        for topic in (b"f.newest.", b"reader.newest.odd.", b"role.newest.sink", b"role.every.sink"):
            sock.subscribe(topic)
        until(lambda: publisher.listeners()["sink"] == 1, "it listens")
        yield sock


def test_asking_often_does_not_repeat_often(tmp_path: Path) -> None:
    wire = msgspec.structs.replace(QUICK, queue_frames=1000)
    with Publisher(f"ipc://{tmp_path}/frames", wire, OPEN) as publisher, suspended(publisher) as sock:
        started = time.monotonic()
        for _ in range(500):
            assert not publisher.send(LAST, 0.0)
        most = 1 + (time.monotonic() - started) / 0.05
        copies = 0
        while sock.poll(300):
            sock.recv_multipart()
            copies += 1
        assert 1 <= copies <= most


def test_a_receiver_that_never_acknowledges_is_given_up(tmp_path: Path) -> None:
    wire = msgspec.structs.replace(QUICK, heartbeat_timeout_ms=30)
    with Publisher(f"ipc://{tmp_path}/frames", wire, OPEN) as publisher, suspended(publisher):
        assert not publisher.send(LAST, 0.0)
        until(lambda: publisher.send(LAST, 0.0), "the end is given up")
        assert publisher.listeners() == {"sink": 1}


def test_an_end_arrives_among_the_frames_of_other_streams(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        Publisher(endpoint, QUICK, OPEN) as publisher,
        FrameReceiver([endpoint], "inference", QUICK, OPEN) as first,
        FrameReceiver([endpoint], "sink", QUICK, OPEN) as second,
    ):
        until(lambda: len(publisher.listeners()) == 2, "both listen")
        ends: list[list[EndOfStream]] = [[], []]

        def acknowledged() -> bool:
            for receiver, got in zip((first, second), ends, strict=True):
                publisher.send(packed(0, stream_id="other", side=20))
                got += [item for item in receiver.poll() if isinstance(item, EndOfStream)]
            return publisher.send(LAST, 0.0)

        until(acknowledged, "all have acknowledged the end")
        assert ends == [[end(5, "newest")]] * 2
