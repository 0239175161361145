"""What the wire tests share: small frames, quick heartbeats, and programs that run in other processes."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import msgspec
import numpy as np

from pipeline.base.config import SecurityConfig, WireConfig, load_config
from pipeline.base.frame import Frame, FrameId, Policy
from pipeline.wire import encoding, messages
from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.messages import BadPicture, EndOfStream, PastFrame, Prediction
from pipeline.wire.publisher import Publisher
from pipeline.wire.security import SecurityPolicy
from tests.support import until

CONFIG = load_config()
QUICK: WireConfig = msgspec.structs.replace(CONFIG.wire, heartbeat_ms=100, heartbeat_timeout_ms=1000)
OPEN = SecurityPolicy(CONFIG.security)


def security(**changes: Any) -> SecurityPolicy:
    servers = changes.pop("servers", {})
    changes["servers"] = msgspec.structs.replace(CONFIG.security.servers, **servers)
    section: SecurityConfig = msgspec.structs.replace(CONFIG.security, **changes)
    return SecurityPolicy(section)


def frame(
    seq: int, policy: Policy = "newest", stream_id: str = "door", side: int = 240, session: int = 1
) -> Frame:
    image = np.full((side, side, 3), seq % 256, np.uint8)
    return Frame(FrameId(stream_id, session, 0, seq), image, capture_ns=1000 + seq, policy=policy)


def packed(*args: Any, **kwargs: Any) -> list[messages.Part]:
    return encoding.encode_frame(frame(*args, **kwargs), "raw", 90, sent_ns=2000)


def end(seq: int, policy: Policy = "every", stream_id: str = "door") -> EndOfStream:
    return EndOfStream(stream_id=stream_id, session=1, epoch=0, seq=seq, policy=policy)


def prediction(seq: int, policy: Policy = "newest", **changes: Any) -> Prediction:
    values: dict[str, Any] = {
        "stream_id": "door",
        "session": 1,
        "epoch": 0,
        "seq": seq,
        "capture_ns": 1000,
        "top": [("pan_left", 0.75), ("static", 0.25)],
        "past": [PastFrame(0, 1, 33.0)],
        "policy": policy,
        "received_ns": 1,
        "started_ns": 2,
        "predicted_ns": 3,
    }
    return Prediction(**values | changes)


def bad_picture(seq: int, policy: Policy = "newest", **changes: Any) -> BadPicture:
    values: dict[str, Any] = {
        "stream_id": "door",
        "session": 1,
        "epoch": 0,
        "seq": seq,
        "capture_ns": 1000,
        "policy": policy,
        "state": "covered",
    }
    return BadPicture(**values | changes)


@contextmanager
def program(target: Callable[..., None], *args: Any) -> Iterator[tuple[BaseProcess, Connection]]:
    """Runs ``target(connection, *args)`` in a new process; kills it at the end if it still runs."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=target, args=(there, *args), daemon=True)
    process.start()
    there.close()
    try:
        yield process, here
    finally:
        process.kill()
        process.join()
        process.close()
        here.close()


def answer(connection: Connection, timeout_s: float = 30.0) -> Any:
    assert connection.poll(timeout_s), "the other program said nothing"
    return connection.recv()


def read_slowly(
    connection: Connection, endpoint: str, wire: WireConfig, pause_s: float, long_pause_s: float
) -> None:
    """Reads an every-frame stream to its end, with a pause for each frame and a long one before the first."""
    with FrameReceiver([endpoint], "inference", wire, OPEN) as receiver:
        connection.send("up")
        seqs: list[int] = []
        received = receiver.poll(20.0, max_every=1)
        time.sleep(long_pause_s)
        while received:
            item = received[0]
            if isinstance(item, EndOfStream):
                break
            assert item.decode().image[0, 0, 0] == item.header.seq % 256
            seqs.append(item.header.seq)
            time.sleep(pause_s)
            received = receiver.poll(20.0, max_every=1)
        connection.send(seqs)


def listen_only(connection: Connection, endpoint: str, wire: WireConfig) -> None:
    """Subscribes, and never reads."""
    with FrameReceiver([endpoint], "inference", wire, OPEN):
        connection.send("up")
        time.sleep(60)


def publish_forever(connection: Connection, endpoint: str, wire: WireConfig, session: int) -> None:
    """Sends newest frames until it is killed."""
    with Publisher(endpoint, wire, OPEN) as publisher:
        connection.send("up")
        for seq in range(1_000_000):
            publisher.send(packed(seq, session=session))
            time.sleep(0.005)


def publish_all(
    connection: Connection, endpoint: str, wire: WireConfig, count: int, side: int, linger_s: float
) -> None:
    """Sends every frame of a stream as fast as its readers allow, the end of it, and is gone."""
    publisher = Publisher(endpoint, wire, OPEN)
    until(lambda: publisher.listeners()["inference"] == 1, "somebody listens")
    refused = 0
    messages = [packed(seq, "every", side=side) for seq in range(count)]
    for parts in [*messages, encoding.encode_end(end(count), "frames")]:
        while not publisher.send(parts, timeout_s=0.05):
            refused += 1
    publisher.close(linger_s)
    connection.send(refused)


def seqs_of(items: list[ReceivedFrame | EndOfStream]) -> list[int]:
    return [item.header.seq for item in items if isinstance(item, ReceivedFrame)]
