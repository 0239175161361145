"""What the tests of shared memory share: publishers and readers as programs of their own."""

import contextlib
import os
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec

from pipeline.base.config import CaptureConfig, WireConfig
from pipeline.base.frame import Policy
from pipeline.wire import encoding
from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.frame_publisher import FramePublisher
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.messages import EndOfStream
from tests.wire.peers import CONFIG, OPEN, QUICK, end, frame, until


def capture(**changes: Any) -> CaptureConfig:
    return msgspec.structs.replace(CONFIG.capture, **changes)


def publisher_at(endpoint: str, wire: WireConfig = QUICK, **changes: Any) -> FramePublisher:
    return FramePublisher(endpoint, wire, OPEN, capture(**changes))


@contextlib.contextmanager
def publisher_and_sink(folder: Path) -> Iterator[tuple[FramePublisher, FrameReceiver]]:
    """A publisher at ``folder/frames``, and one reader that it hears."""
    endpoint = f"ipc://{folder}/frames"
    with publisher_at(endpoint) as publisher, FrameReceiver([endpoint], "sink", QUICK, OPEN) as receiver:
        wait_for_readers(publisher, 1)
        yield publisher, receiver


def wait_for_readers(publisher: FramePublisher, count: int) -> None:
    """Waits until so many readers are heard on both lanes, each of which has a connection of its own."""

    def heard() -> bool:
        publisher.listeners()  # which takes in who has come
        return all(len(publisher.audience.readers(lane)) == count for lane in ("newest", "every"))

    until(heard, f"{count} readers on both lanes")


def take(receiver: FrameReceiver, timeout_s: float = 20.0) -> ReceivedFrame:
    """The next frame; a poll may also end with nothing, when what came was not for the caller."""
    deadline = time.monotonic() + timeout_s
    while not (items := receiver.poll(0.5, max_every=1)):
        assert time.monotonic() < deadline, "no frame came"
    (item,) = items
    assert isinstance(item, ReceivedFrame)
    return item


def send_until_shared(
    publisher: FramePublisher,
    *receivers: FrameReceiver,
    policy: Policy = "every",
    first: int = 0,
    side: int = 240,
) -> int:
    """Sends frames until one goes through shared memory; returns the next number. All readers take all."""
    seq, taken = first, [first] * len(receivers)
    while not publisher.sent("door")["shm"]:
        assert seq < first + 200, "never went through shared memory"
        assert publisher.send_frame(frame(seq, policy, side=side), timeout_s=10.0)
        for place, receiver in enumerate(receivers):
            assert take(receiver).header.seq == taken[place]
            taken[place] += 1
        seq += 1
        time.sleep(0.002)
    return seq


def publish_all(
    connection: Connection, endpoint: str, count: int, side: int, changes: dict[str, Any]
) -> None:
    """Sends every frame of a stream as fast as its readers allow, the end of it, and is gone."""
    limit = changes.pop("limit", None)
    if limit:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with publisher_at(endpoint, **changes) as publisher:
        connection.send("up")
        until(lambda: publisher.listeners()["inference"] == 1, "somebody listens")
        refused = 0
        for seq in range(count):
            while not publisher.send_frame(frame(seq, "every", side=side), timeout_s=0.002):
                refused += 1
        while not publisher.send(encoding.encode_end(end(count), "frames")):
            time.sleep(0.005)
        sent, events = dict(publisher.sent("door")), publisher.pop_events()
        publisher.close(20.0)
    connection.send((sent, refused, events))


def publish_forever(connection: Connection, endpoint: str, policy: Policy, session: int) -> None:
    """Sends frames until it is killed; says when the first one goes through shared memory."""
    with publisher_at(endpoint) as publisher:
        told = False
        for seq in range(1_000_000):
            publisher.send_frame(frame(seq, policy, session=session), timeout_s=1.0)
            if not told and publisher.sent("door")["shm"]:
                connection.send("shared")
                told = True
            time.sleep(0.005)


def read_forever(connection: Connection, endpoint: str) -> None:
    """Takes frames until it is killed; says when the first one has come through shared memory."""
    with FrameReceiver([endpoint], "inference", QUICK, OPEN) as receiver:
        connection.send("up")
        told = False
        while True:
            for item in receiver.poll(1.0):
                if isinstance(item, ReceivedFrame) and item.header.encoding == "shm" and not told:
                    connection.send("shared")
                    told = True


def read_all(connection: Connection, endpoint: str, pause_s: float, user: int = 0) -> None:
    """Reads a stream to its end, as another user if asked to; says what came and what was refused."""
    if user:
        "localhost".encode("idna")  # loaded now: that user may not be able to read the interpreter's folder
        os.setgid(user)
        os.setuid(user)
    with FrameReceiver([endpoint], "inference", QUICK, OPEN) as receiver:
        connection.send("up")
        seqs: list[int] = []
        ended = False
        while not ended:
            for item in receiver.poll(20.0, max_every=1):
                if isinstance(item, EndOfStream):
                    ended = True
                else:
                    image = item.decode().image
                    assert image.min() == image.max() == item.header.seq % 256
                    seqs.append(item.header.seq)
            time.sleep(pause_s)
        connection.send((seqs, receiver.rejects.pop_reports()))


def shared_memory_of(pid: int | str) -> int:
    """How many segments a process has in its memory; a reader's seat, another view of one, does not count."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return sum("memfd:kvq-frames" in line and line.split()[2] == "00000000" for line in lines)
