"""Every number on the wire has a range, so that no peer can make one that a worker can't live with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.account.stats import WorkerStats
from pipeline.base.camera_velocity import CameraMotion
from pipeline.base.clock import now_ns
from pipeline.base.moving_thing import Thing
from pipeline.flow.freshness.ages import Feedback
from pipeline.wire import encoding, messages
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.messages import Message
from pipeline.wire.receivers import PredictionReceiver, StatsReceiver
from tests.wire.peers import OPEN, QUICK, packed, prediction, seqs_of
from tests.wire.test_strangers import stranger, wait_for_reader

THING = Thing(
    id=1,
    box=(0.1, 0.2, 0.1, 0.2),
    outline=[(0.1, 0.2), (0.2, 0.4)],
    speed=0.1,
    direction_deg=0.0,
    age_ms=100.0,
    score=0.9,
    trail=[(0.1, 0.1)],
    was=[(0.1, 0.2, 0.1, 0.2)],
)
CAMERA = CameraMotion(speed=0.1, direction_deg=0.0, zoom=0.0, roll_deg=0.0, shake=0.0)
HUGE = 2**64 - 1


def changed(parts: list[messages.Part], path: str, value: object) -> list[messages.Part]:
    """The message with another value at a place in its header: keys with dots between them."""
    header = msgspec.msgpack.decode(parts[1])
    node, (*steps, last) = header, path.split(".")
    for step in steps:
        node = node[int(step) if isinstance(node, list) else step]
    if isinstance(node, list):
        node[int(last)] = value
    else:
        node[last] = value
    return [parts[0], msgspec.msgpack.encode(header), *parts[2:]]


def numbers(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """All numbers in a schema, each with its place."""
    inspect = msgspec.inspect
    match node:
        case inspect.IntType() | inspect.FloatType():
            yield path, node
        case inspect.Metadata():
            yield from numbers(node.type, path)
        case inspect.StructType():
            for field in node.fields:
                yield from numbers(field.type, f"{path}.{field.encode_name}")
        case inspect.UnionType():
            for option in node.types:
                yield from numbers(option, path)
        case inspect.DictType():
            yield from numbers(node.key_type, f"{path}[key]")
            yield from numbers(node.value_type, f"{path}[]")
        case inspect.ListType():
            yield from numbers(node.item_type, f"{path}[]")
        case inspect.TupleType():
            for item in node.item_types:
                yield from numbers(item, f"{path}()")


def test_every_number_has_a_range() -> None:
    found = [
        *numbers(msgspec.inspect.type_info(Message), ""),
        *numbers(msgspec.inspect.type_info(Feedback), ""),
    ]
    assert len(found) > 60
    endless = [
        place
        for place, number in found
        if not place.endswith(".v") and (number.ge is None or (number.le is None and number.lt is None))
    ]
    assert endless == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *((name, HUGE) for name in ("seq", "epoch", "session", "skipped", "capture_ns", "sent_ns", "height")),
        ("pts_ns", -(2**63)),
        ("full_size", [HUGE, HUGE]),
    ],
)
def test_a_frame_with_a_number_out_of_range_is_counted_and_the_next_one_comes(
    path: str, value: object, tmp_path: Path
) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with stranger(endpoint) as sock, FrameReceiver([endpoint], "inference", QUICK, OPEN) as receiver:
        sock.rcvtimeo = 20_000
        wait_for_reader(sock, b"role.every.inference")
        sock.send_multipart(changed(packed(0, "every"), path, value))
        assert receiver.poll(10.0) == []
        assert receiver.rejects.counts == {"header": 1}
        assert f"$.{path}" in receiver.rejects.latest["header"]
        sock.send_multipart(packed(1, "every"))
        assert seqs_of(receiver.poll(10.0)) == [1]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("past.0.seq", HUGE),
        ("past.0.age_ms", float("inf")),
        ("spacing_ms", float("nan")),
        ("started_ns", HUGE),
        ("things.0.id", HUGE),
        ("things.0.box.2", 1e300),
        ("things.0.outline.0.1", float("nan")),
        ("things.0.direction_deg", 360.0),
        ("things.0.speed", float("inf")),
        ("things.0.trail.0.0", -1.0),
        ("things.0.was.0.3", float("nan")),
        ("camera.direction_deg", 360.0),
        ("camera.zoom", float("-inf")),
        ("camera.shake", -0.1),
    ],
)
def test_a_prediction_with_a_number_out_of_range_is_counted(path: str, value: object, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/predictions"
    with stranger(endpoint) as sock, PredictionReceiver([endpoint], QUICK, OPEN) as receiver:
        sock.rcvtimeo = 20_000
        wait_for_reader(sock, b"role.every.sink")
        good = encoding.encode_prediction(prediction(0, "every", things=[THING], camera=CAMERA))
        sock.send_multipart(changed(good, path, value))
        assert receiver.poll(10.0) == []
        assert receiver.rejects.counts == {"header": 1}
        sock.send_multipart(good)
        assert len(receiver.poll(10.0)) == 1


def full_stats() -> WorkerStats:
    stats = WorkerStats("capture", "capture", session=now_ns(), host="host", pid=2)
    stream = stats.stream("door")
    stream.record("decode", 3_000_000)
    stream.drop("wire.lost", 3)
    stream.seen[1] = 4
    stats.details = {"runtime": {"threads": 2}}
    return stats


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("streams.door.latency.decode.counts", {2**40: 1}),
        ("streams.door.latency.decode.counts", {-1: 1}),
        ("streams.door.latency.decode.counts", {1: HUGE}),
        ("streams.door.latency.decode.largest", float("inf")),
        ("streams.door.captured", HUGE),
        ("streams.door.captured", -1),
        ("streams.door.dropped", {"wire.lost": -1}),
        ("streams.door.dropped", {f"reason {number}": 1 for number in range(1000)}),
        ("streams.door.seen", {HUGE: 1}),
        ("streams.door.fps", float("nan")),
        ("streams.door.last_ns", HUGE),
        ("rss_mb", float("-inf")),
        ("details.runtime.threads", HUGE),
        ("pid", -1),
        ("session", HUGE),
        ("events", ["something"] * 1000),
        ("streams", {f"door-{number}": {} for number in range(1000)}),
    ],
)
def test_stats_with_a_number_out_of_range_are_counted(path: str, value: object, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/stats"
    with stranger(endpoint) as sock, StatsReceiver({"capture": [endpoint]}, QUICK, OPEN) as receiver:
        sock.rcvtimeo = 20_000
        wait_for_reader(sock, b"s.")
        good = encoding.encode_stats(full_stats())
        sock.send_multipart(changed(good, f"stats.{path}", value))
        assert receiver.poll(10.0) == []
        assert receiver.rejects.counts == {"header": 1}
        sock.send_multipart(good)
        (stats,) = receiver.poll(10.0)
        assert stats.streams["door"].latency["decode"].percentile(99) is not None


def test_text_of_a_peer_is_printable_when_it_arrives(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/stats"
    stats = full_stats()
    stats.host, stats.events = "a\x1b]0;b", ["\x1b[2Jдверь\n手", "plain"]
    stats.stream("door").error = "no\x07"
    stats.stream("door").drop("wire.\u202elost", 2)
    stats.details = {"model": {"na\x00me": "user\u202egnp.exe", "size": 3}}
    with stranger(endpoint) as sock, StatsReceiver({"capture": [endpoint]}, QUICK, OPEN) as receiver:
        sock.rcvtimeo = 20_000
        wait_for_reader(sock, b"s.")
        sock.send_multipart(encoding.encode_stats(stats))
        (got,) = receiver.poll(10.0)
    assert (got.host, got.events) == ("a ]0;b", [" [2Jдверь 手", "plain"])
    assert got.streams["door"].error == "no "
    assert got.streams["door"].dropped == {"wire.lost": 3, "wire. lost": 2}
    assert got.details == {"model": {"na me": "user gnp.exe", "size": 3}}


def test_labels_of_a_peer_are_printable_when_they_arrive(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/predictions"
    sent = prediction(0, "every", top=[("ru\x1b[31mn", 0.5), ("бег", 0.25)], reset="ga\np")
    with stranger(endpoint) as sock, PredictionReceiver([endpoint], QUICK, OPEN) as receiver:
        sock.rcvtimeo = 20_000
        wait_for_reader(sock, b"role.every.sink")
        sock.send_multipart(encoding.encode_prediction(sent))
        (got,) = receiver.poll(10.0)
    assert got.prediction.top == [("ru [31mn", 0.5), ("бег", 0.25)]
    assert got.prediction.reset == "ga p"
