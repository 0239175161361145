"""Receivers that take some streams of a publisher, and share the others with receivers beside them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from pipeline.base.frame import Policy
from pipeline.wire import encoding
from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.frame_publisher import FramePublisher
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.messages import EndOfStream
from tests.wire.peers import OPEN, QUICK, end, frame, until
from tests.wire.shared_helpers import publisher_at, take

STREAMS = ("a", "a.b", "ab")
"""One name is the beginning of another."""


@contextmanager
def sharing(folder: Path) -> Iterator[tuple[FramePublisher, dict[str, FrameReceiver], FrameReceiver]]:
    """A publisher, a receiver for each of three streams, and one that takes them all."""
    endpoint = f"ipc://{folder}/frames"
    with (
        publisher_at(endpoint) as publisher,
        FrameReceiver([endpoint], "inference", QUICK, OPEN, ["a"]) as first,
        FrameReceiver([endpoint], "inference", QUICK, OPEN, ["a.b"]) as second,
        FrameReceiver([endpoint], "inference", QUICK, OPEN, ["ab"]) as third,
        FrameReceiver([endpoint], "sink", QUICK, OPEN) as sink,
    ):
        until(lambda: publisher.listeners() == {"inference": 3, "sink": 1}, "all listen")
        until(
            lambda: bool(publisher.listeners()) and all(heard(publisher, name, 2) for name in STREAMS),
            "each stream has two readers",
        )
        yield publisher, dict(zip(STREAMS, (first, second, third), strict=True)), sink


def heard(publisher: FramePublisher, stream_id: str, count: int) -> bool:
    return all(len(publisher.audience.readers(lane, stream_id)) == count for lane in ("newest", "every"))


def seqs(receiver: FrameReceiver) -> list[tuple[str, int]]:
    return [
        (item.header.stream_id, item.header.seq)
        for item in receiver.poll(0.05)
        if isinstance(item, ReceivedFrame)
    ]


@pytest.mark.parametrize("policy", ["newest", "every"])
def test_each_takes_its_own_stream_through_shared_memory(policy: Policy, tmp_path: Path) -> None:
    with sharing(tmp_path) as (publisher, owners, sink):
        seq = 0
        while min(publisher.sent(name)["shm"] for name in STREAMS) < 5:
            assert seq < 300, "never went through shared memory"
            for name in STREAMS:
                assert publisher.send_frame(frame(seq, policy, name), timeout_s=10.0)
                assert take(sink).header.stream_id == name
                received = take(owners[name])
                assert (received.header.stream_id, received.header.seq) == (name, seq)
                assert received.decode().image[0, 0, 0] == seq % 256
            seq += 1
        assert all(not owner.rejects.counts for owner in owners.values())


def test_one_that_stands_still_holds_up_its_own_stream_only(tmp_path: Path) -> None:
    with sharing(tmp_path) as (publisher, owners, sink):
        seq = 0
        while publisher.send_frame(frame(seq, "every", "a"), timeout_s=0.2):
            seq += 1
            assert seq < 200, "nobody was waited for"
            while sink.poll(0.01):
                pass
        for other in range(20):
            assert publisher.send_frame(frame(other, "every", "ab"), timeout_s=10.0)
            assert take(owners["ab"]).header.seq == other
            while sink.poll(0.01):
                pass
        taken = [take(owners["a"]).header.seq for _ in range(seq)]
        assert taken == list(range(seq))


def test_an_end_waits_for_those_who_take_the_stream(tmp_path: Path) -> None:
    with sharing(tmp_path) as (publisher, owners, sink):
        last = encoding.encode_end(end(5, "newest", "a"), "frames")
        assert not publisher.send(last, 0.2)
        got = [item for receiver in (sink, owners["a"]) for item in receiver.poll(1.0)]
        assert [item.stream_id for item in got if isinstance(item, EndOfStream)] == ["a", "a"]
        assert publisher.send(last, 5.0)
        assert owners["a.b"].poll(0.1) == owners["ab"].poll(0.1) == []


@pytest.mark.parametrize("policy", ["newest", "every"])
def test_a_stream_moves_from_one_to_another(policy: Policy, tmp_path: Path) -> None:
    with sharing(tmp_path) as (publisher, owners, sink):
        before, after = owners["a"], owners["ab"]
        for seq in range(8):
            assert publisher.send_frame(frame(seq, policy, "a"), timeout_s=10.0)
            take(sink)
            assert take(before).header.seq == seq
        after.begin("a")
        until(lambda: bool(publisher.listeners()) and heard(publisher, "a", 3), "the next one takes it")
        before.leave("a")
        until(lambda: bool(publisher.listeners()) and heard(publisher, "a", 2), "the first has left it")
        assert not before.takes("a")
        for seq in range(8, 40):
            assert publisher.send_frame(frame(seq, policy, "a"), timeout_s=10.0)
            take(sink)
            assert take(after).header.seq == seq
        assert seqs(before) == []
        assert before.rejects.counts == after.rejects.counts == {}


def test_who_has_left_a_stream_with_frames_unread_holds_up_nobody_and_may_come_back(tmp_path: Path) -> None:
    """Back and forth, three times, of a stream that loses nothing and goes through shared memory."""
    with sharing(tmp_path) as (publisher, owners, sink):
        pair, seq = [owners["a"], owners["ab"]], 0

        def send(timeout_s: float = 0.0) -> bool:
            nonlocal seq
            if not publisher.send_frame(frame(seq, "every", "a"), timeout_s=timeout_s):
                return False
            seq += 1
            take(sink)
            return True

        for _ in range(4):
            before, after = pair
            shared = publisher.sent("a")["shm"]
            while publisher.sent("a")["shm"] < shared + 5:
                assert send(10.0)
                until(lambda owner=before: ("a", seq - 1) in seqs(owner), "it comes")  # type: ignore[misc]
            while send(0.1):
                pass
            before.leave("a")
            after.begin("a")
            until(send, "the one that has left is not waited for")
            until(lambda: bool(publisher.listeners()) and heard(publisher, "a", 2), "the next one takes it")
            until(lambda owner=before: not owner.poll(0.05), "what was unread is dropped")  # type: ignore[misc]
            pair = [after, before]
        joined = {"shm", "overwritten"}  # frames of before the publisher knew that it takes the stream
        assert all(owner.rejects.counts.keys() <= joined for owner in owners.values())


def test_who_takes_none_yet_listens_all_the_same(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        publisher_at(endpoint) as publisher,
        FrameReceiver([endpoint], "inference", QUICK, OPEN, []) as receiver,
    ):
        until(lambda: publisher.listeners()["inference"] == 1, "it listens")
        for seq in range(20):
            assert publisher.send_frame(frame(seq, "every"), timeout_s=10.0), "nobody waits for it"
        assert receiver.poll(0.1) == []
        receiver.begin("door")
        receiver.begin("door")
        until(lambda: bool(publisher.listeners()) and heard(publisher, "door", 1), "it takes the stream")
        assert publisher.send_frame(frame(20, "every"), timeout_s=10.0)
        assert take(receiver).header.seq == 20
        receiver.leave("door")
        with pytest.raises(KeyError):
            receiver.leave("door")


def test_who_takes_all_can_leave_none(tmp_path: Path) -> None:
    with FrameReceiver([f"ipc://{tmp_path}/frames"], "sink", QUICK, OPEN) as receiver:
        receiver.begin("door")
        assert receiver.takes("another")
        with pytest.raises(KeyError):
            receiver.leave("door")


def test_closing_waits_for_readers_of_other_streams_than_the_last(tmp_path: Path) -> None:
    """The last message is the end of one stream; frames of another one are still on their way."""
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        publisher_at(endpoint, encoding="raw") as publisher,
        FrameReceiver([endpoint], "inference", QUICK, OPEN, ["a"]) as first,
        FrameReceiver([endpoint], "inference", QUICK, OPEN, ["ab"]) as slow,
    ):
        for name in ("a", "ab"):
            until(lambda name=name: bool(publisher.listeners()) and heard(publisher, name, 1), "it listens")
        sent = 0
        while publisher.send_frame(frame(sent, "every", "ab"), timeout_s=0.3):
            sent += 1
        assert publisher.send(encoding.encode_end(end(0, "every", "a"), "frames"), 10.0)
        closing = Thread(target=publisher.close, args=(30.0,))
        closing.start()
        taken = 0
        while closing.is_alive():
            first.poll(0.01)
            time.sleep(0.05)
            taken += len(slow.poll(0.01, max_every=1))
        closing.join()
        taken += len(slow.poll(0.5))
        assert taken == sent > 3
