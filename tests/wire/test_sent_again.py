"""A receiver that begins with a live stream gets its last frames once more: it alone, once, before others."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

from pipeline.base.frame import Frame, FrameId
from pipeline.wire import encoding
from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.frame_publisher import FramePublisher
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.sent_again import SentAgain
from tests.support import free_port
from tests.wire.peers import OPEN, QUICK, end, frame, until
from tests.wire.shared_helpers import publisher_at, send_until_shared, take

MS = 1_000_000


def shot(seq: int, stream_id: str = "door", epoch: int = 0, every_ms: int = 40, side: int = 240) -> Frame:
    """A frame of a camera that makes one every 40 ms."""
    made = frame(seq, "newest", stream_id, side=side)
    return replace(made, id=FrameId(stream_id, 1, epoch, seq), capture_ns=10**9 + seq * every_ms * MS)


def place(kind: str, folder: Path) -> str:
    return f"ipc://{folder}/frames" if kind == "ipc" else f"tcp://127.0.0.1:{free_port()}"


@contextmanager
def camera_and_reader(
    endpoint: str, streams: Sequence[str] = ()
) -> Iterator[tuple[FramePublisher, FrameReceiver]]:
    """Capture, and inference that takes these streams to begin with."""
    with (
        publisher_at(endpoint) as publisher,
        FrameReceiver([endpoint], "inference", QUICK, OPEN, streams) as receiver,
    ):
        yield publisher, receiver


def heard(publisher: FramePublisher, stream_id: str, readers: int) -> None:
    until(
        lambda: (
            bool(publisher.listeners()) and len(publisher.audience.readers("newest", stream_id)) == readers
        ),
        f"{readers} readers of {stream_id}",
    )


def collect(publisher: FramePublisher, receiver: FrameReceiver, count: int) -> list[tuple[int, bool]]:
    """Number and mark of what arrives, until there are so many."""
    got: list[tuple[int, bool]] = []

    def enough() -> bool:
        publisher.send_again()
        for item in receiver.poll(0.01):
            assert isinstance(item, ReceivedFrame)
            assert item.decode().image[0, 0, 0] == item.header.seq % 256
            got.append((item.header.seq, item.replayed))
        return len(got) >= count

    until(enough, f"{count} frames", told=lambda: str(got))
    return got


def quiet(publisher: FramePublisher, receiver: FrameReceiver) -> list[int]:
    """What arrives within a while."""
    seqs = []
    for _ in range(10):
        publisher.send_again()
        seqs += [one.header.seq for one in receiver.poll(0.02) if isinstance(one, ReceivedFrame)]
    return seqs


@pytest.mark.parametrize("encoding_", ["raw", "jpeg", "shm"])
@pytest.mark.parametrize("kind", ["ipc", "tcp"])
def test_a_new_reader_gets_the_last_frames_and_another_one_nothing_twice(
    kind: str, encoding_: str, tmp_path: Path
) -> None:
    endpoint = place(kind, tmp_path)
    with (
        publisher_at(endpoint, encoding=encoding_) as publisher,
        FrameReceiver([endpoint], "sink", QUICK, OPEN) as sink,
    ):
        heard(publisher, "door", 1)
        first = 0
        if encoding_ == "shm":
            first = send_until_shared(publisher, sink, policy="newest")
        for seq in range(first, first + 20):
            assert publisher.send_frame(shot(seq))
            assert take(sink).header.seq == seq
        newest = first + 19
        with FrameReceiver([endpoint], "inference", QUICK, OPEN, []) as receiver:
            receiver.begin("door", replay=True)
            kept = [(seq, True) for seq in range(newest - 6, newest + 1)]
            assert collect(publisher, receiver, 7) == kept, "250 ms of them, the oldest first"
            heard(publisher, "door", 2)
            assert publisher.send_frame(shot(newest + 1))
            assert collect(publisher, receiver, 1) == [(newest + 1, False)]
            assert take(sink).header.seq == newest + 1
            assert quiet(publisher, receiver) == quiet(publisher, sink) == []
            assert receiver.rejects.counts == sink.rejects.counts == {}
        assert publisher.audience.roles.total() >= 1


def test_who_takes_all_streams_gets_the_last_frames_of_all(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with publisher_at(endpoint) as publisher:
        for seq in range(3):
            for name in ("a", "a.b", "ab"):
                assert publisher.send_frame(shot(seq, name))
        with FrameReceiver([endpoint], "inference", QUICK, OPEN, replay=True) as receiver:
            assert sorted(collect(publisher, receiver, 9)) == sorted(3 * [(0, True), (1, True), (2, True)])
            assert quiet(publisher, receiver) == []


def test_who_does_not_ask_gets_nothing_again(tmp_path: Path) -> None:
    with camera_and_reader(f"ipc://{tmp_path}/frames") as (publisher, receiver):
        assert publisher.send_frame(shot(0))
        receiver.begin("door")
        heard(publisher, "door", 1)
        assert quiet(publisher, receiver) == []


def test_replayed_come_before_a_later_frame_that_is_sent_at_once(tmp_path: Path) -> None:
    with camera_and_reader(f"ipc://{tmp_path}/frames") as (publisher, receiver):
        for seq in range(4):
            assert publisher.send_frame(shot(seq))
        until(lambda: publisher.listeners()["inference"] == 1, "it listens")
        receiver.begin("door", replay=True)
        seq = 4
        got: list[tuple[int, bool]] = []
        while not got or got[-1][1]:
            assert publisher.send_frame(shot(seq))
            seq += 1
            got += [(one.header.seq, one.replayed) for one in receiver.poll(0.01) if take_frame(one)]
            assert seq < 2000
        first_live = next(number for number, replayed in got if not replayed)
        before = [number for number, replayed in got if replayed and number < first_live]
        assert before == sorted(set(before)), "in order, each once"
        assert before[-1] == first_live - 1, "and nothing between them is missing"


def test_two_that_begin_at_once_get_them_both(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with publisher_at(endpoint) as publisher:
        # Sent before anybody listens: receivers that are there already may miss one of three sent at once.
        for seq in range(3):
            assert publisher.send_frame(shot(seq))
        with (
            FrameReceiver([endpoint], "inference", QUICK, OPEN, []) as first,
            FrameReceiver([endpoint], "sink", QUICK, OPEN, ["door"], replay=True) as second,
        ):
            first.begin("door", replay=True)
            for receiver in (first, second):
                assert collect(publisher, receiver, 3) == [(0, True), (1, True), (2, True)]
            assert quiet(publisher, first) == quiet(publisher, second) == []


def test_who_has_begun_already_gets_nothing_again(tmp_path: Path) -> None:
    with camera_and_reader(f"ipc://{tmp_path}/frames", ["door"]) as (publisher, receiver):
        heard(publisher, "door", 1)
        assert publisher.send_frame(shot(0))
        receiver.begin("door", replay=True)
        assert collect(publisher, receiver, 1) == [(0, False)]
        assert quiet(publisher, receiver) == []


def test_who_was_there_before_capture_gets_each_frame_once(tmp_path: Path) -> None:
    """It still asks when capture comes, and has all frames from the first one on."""
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        FrameReceiver([endpoint], "inference", QUICK, OPEN, ["door"], replay=True) as receiver,
        publisher_at(endpoint) as publisher,
    ):
        heard(publisher, "door", 1)
        numbers: list[int] = []
        for seq in range(8):
            assert publisher.send_frame(shot(seq))
            numbers += [number for number, _ in collect(publisher, receiver, 1)]
        numbers += quiet(publisher, receiver)
        assert numbers == list(range(8))


def take_frame(item: object) -> bool:
    return isinstance(item, ReceivedFrame)


def test_who_left_and_begins_again_gets_the_last_frames_again(tmp_path: Path) -> None:
    with camera_and_reader(f"ipc://{tmp_path}/frames") as (publisher, receiver):
        assert publisher.send_frame(shot(0))
        for seq in range(1, 4):
            receiver.begin("door", replay=True)
            assert collect(publisher, receiver, seq)[-1] == (seq - 1, True)
            receiver.leave("door")
            heard_nobody(publisher)
            assert quiet(publisher, receiver) == []
            assert publisher.send_frame(shot(seq))
        receiver.begin("door")
        heard(publisher, "door", 1)
        assert quiet(publisher, receiver) == []


def heard_nobody(publisher: FramePublisher) -> None:
    until(lambda: bool(publisher.listeners()) and not publisher.audience.readers("newest", "door"), "nobody")


def test_a_stream_that_has_no_frame_yet_has_none_to_send_again(tmp_path: Path) -> None:
    with camera_and_reader(f"ipc://{tmp_path}/frames") as (publisher, receiver):
        receiver.begin("door", replay=True)
        heard(publisher, "door", 1)
        assert publisher.send_frame(shot(0))
        assert collect(publisher, receiver, 1) == [(0, False)]
        assert quiet(publisher, receiver) == []


def test_frames_of_a_file_and_of_a_stream_that_has_ended_are_not_kept(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with publisher_at(endpoint) as publisher:
        assert publisher.send_frame(frame(0, "every", "film"))
        assert publisher.send_frame(shot(0))
        publisher.send(encoding.encode_end(end(1, "newest"), "frames"))
        publisher.forget("door")
        with FrameReceiver([endpoint], "inference", QUICK, OPEN, replay=True) as receiver:
            until(lambda: publisher.listeners()["inference"] == 1, "it listens")
            assert quiet(publisher, receiver) == []


def test_a_link_that_is_cut_meanwhile_brings_each_frame_once(tmp_path: Path) -> None:
    port = free_port()
    endpoint = f"tcp://127.0.0.1:{port}"
    with camera_and_reader(endpoint) as (publisher, receiver):
        for seq in range(5):
            assert publisher.send_frame(shot(seq, side=480))
        until(lambda: publisher.listeners()["inference"] == 1, "it listens")
        receiver.begin("door", replay=True)
        got = collect(publisher, receiver, 1)
        # Broken from this end: libzmq connects again, and subscribes to all that it has.
        for connection in [receiver._newest.socket]:
            connection.disconnect(endpoint)
            connection.connect(endpoint)
        got += collect(publisher, receiver, 5 - len(got))
        assert got == [(seq, True) for seq in range(5)]
        assert quiet(publisher, receiver) == []


def test_a_reader_that_asks_in_a_loop_gets_little_and_others_go_on(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        publisher_at(endpoint, encoding="jpeg") as publisher,
        FrameReceiver([endpoint], "sink", QUICK, OPEN) as sink,
        zmq.Context() as context,
        context.socket(zmq.SUB) as hostile,
    ):
        hostile.linger, hostile.rcvhwm = 0, 100_000
        heard(publisher, "door", 1)
        hostile.connect(endpoint)
        for seq in range(6):
            assert publisher.send_frame(shot(seq))
            assert take(sink).header.seq == seq
        started = time.monotonic()
        for number in range(3000):
            hostile.subscribe(b"again.inference-%d.door" % number)
        for seq in range(6, 40):
            assert publisher.send_frame(shot(seq))
            assert take(sink).header.seq == seq
            publisher.send_again()
        seconds = time.monotonic() - started
        until(lambda: bool(hostile.poll(10)), "it gets some")
        got = 0
        while hostile.poll(100):
            hostile.recv_multipart()
            got += 1
        assert got <= 2 * 8 * (seconds + 1), "eight times a second, and once more after a frame"


def kept(again: SentAgain, stream_id: str = "door") -> list[int]:
    """The pictures that a reader would be sent."""
    sent: list[int] = []
    again.ask(b"reader", stream_id)
    again.send(stream_id, lambda parts: sent.extend(bytes(pixels)[0] for pixels in parts[2::2]) is None)
    return sent


def raw(one: Frame) -> list[bytes | memoryview]:
    return encoding.encode_frame(one, "raw", 90, sent_ns=0)


def test_what_is_kept_is_bounded_in_time_and_in_bytes() -> None:
    by_time, by_bytes = SentAgain(250.0, 2**30, raw), SentAgain(60_000.0, 3 * 240 * 240 * 3 + 2000, raw)
    for seq in range(50):
        by_time.keep(shot(seq), None)
        by_bytes.keep(shot(seq), None)
    assert kept(by_time) == list(range(43, 50))
    assert kept(by_bytes) == [47, 48, 49]


def test_a_source_that_was_opened_again_has_only_what_came_since() -> None:
    again = SentAgain(250.0, 2**30, raw)
    for seq in range(3):
        again.keep(shot(seq), None)
    again.keep(shot(3, epoch=1), None)
    assert kept(again) == [3]


def test_nothing_is_kept_where_that_is_off() -> None:
    again = SentAgain(0.0, 2**30, raw)
    again.keep(shot(0), None)
    assert kept(again) == []


def test_a_frame_too_large_for_what_may_be_kept_is_not_kept() -> None:
    again = SentAgain(250.0, 1000, raw)
    again.keep(shot(0), None)
    assert kept(again) == []
    assert not again.is_due


def test_what_finds_no_room_stays_due_until_a_newer_frame_goes_out() -> None:
    again = SentAgain(250.0, 2**30, raw)
    for seq in range(3):
        again.keep(shot(seq), None)
    again.ask(b"reader", "door")
    again.send_all(lambda parts: False)
    assert again.is_due
    again.give_up("door")
    assert not again.is_due
