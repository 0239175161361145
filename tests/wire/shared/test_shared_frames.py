"""Frames through shared memory: nothing is lost that must not be, and everybody else still gets theirs."""

import os
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zmq

from pipeline.base.frame import Policy
from pipeline.wire import encoding, topics
from pipeline.wire.frame_publisher import FramePublisher
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.messages import EndOfStream, Offer
from pipeline.wire.shared import mapping as windows
from tests.support import free_port, without
from tests.wire.peers import OPEN, QUICK, answer, end, frame, packed, program, seqs_of, until
from tests.wire.shared_helpers import (
    publish_all,
    publisher_and_sink,
    publisher_at,
    read_all,
    send_until_shared,
    shared_memory_of,
    take,
    wait_for_readers,
)


@pytest.mark.parametrize("policy", ["newest", "every"])
@pytest.mark.parametrize("kind", ["ipc", "tcp"])
def test_frames_arrive_as_they_were(kind: str, policy: Policy, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames" if kind == "ipc" else "tcp://127.0.0.1:0"
    with (
        publisher_at(endpoint) as publisher,
        FrameReceiver([publisher.endpoint], "sink", QUICK, OPEN) as one,
        FrameReceiver([publisher.endpoint], "inference", QUICK, OPEN) as other,
    ):
        wait_for_readers(publisher, 2)
        seq = send_until_shared(publisher, one, other, policy=policy)
        sent = frame(seq, policy)
        sent.image[:] = np.random.default_rng(0).integers(0, 256, sent.image.shape, np.uint8)
        assert publisher.send_frame(sent, timeout_s=10.0)
        for receiver in (one, other):
            item = take(receiver)
            assert (item.header.encoding, len(item.pixels)) == ("shm", sent.image.nbytes)
            got = item.decode()
            np.testing.assert_array_equal(got.image, sent.image)
            assert (got.id, got.capture_ns, got.policy) == (sent.id, sent.capture_ns, policy)
            assert not got.image.flags.writeable
            assert receiver.rejects.counts == {}
        assert list(tmp_path.iterdir()) == ([tmp_path / "frames"] if kind == "ipc" else [])


@pytest.mark.parametrize("encoding", ["raw", "jpeg"])
def test_who_asks_for_the_socket_gets_it(encoding: str, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        publisher_at(endpoint, encoding=encoding) as publisher,
        FrameReceiver([endpoint], "sink", QUICK, OPEN) as receiver,
    ):
        until(lambda: publisher.listeners()["sink"] == 1, "it listens")
        for seq in range(20):
            assert publisher.send_frame(frame(seq, "every"), timeout_s=10.0)
            assert take(receiver).header.seq == seq
        assert dict(publisher.sent("door")) == {encoding: 20}
        assert not shared_memory_of("self")


def test_beyond_this_machine_it_is_jpeg_unless_all_readers_are_here() -> None:
    port = free_port()
    endpoint = f"tcp://0.0.0.0:{port}"
    from tests.wire.peers import security
    from tests.wire.shared_helpers import capture

    allowed = security(insecure=True)
    with (
        FramePublisher(endpoint, QUICK, allowed, capture()) as publisher,
        FrameReceiver([f"tcp://127.0.0.1:{port}"], "sink", QUICK, allowed) as receiver,
    ):
        until(lambda: publisher.listeners()["sink"] == 1, "it listens")
        send_until_shared(publisher, receiver)
        assert set(publisher.sent("door")) == {"jpeg", "shm"}


def test_another_user_gets_frames_through_the_socket_and_is_told_why(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        without("only root can become another user")
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with (
        program(read_all, endpoint, 0.0, 65534) as (_, reader),
        program(publish_all, endpoint, 30, 240, {}) as (_, writer),
    ):
        assert answer(reader) == answer(writer) == "up"
        seqs, (report,) = answer(reader)
        assert seqs == list(range(30))
        assert "can't be opened here: Permission denied. Frames arrive through the socket" in report
        assert answer(writer)[0] == {"raw": 30}


def test_word_of_a_frame_that_was_never_written_is_refused(tmp_path: Path) -> None:
    """It must not count as taken either, nor end the reader."""
    with publisher_and_sink(tmp_path) as (publisher, receiver):
        seq = send_until_shared(publisher, receiver)
        (token,) = (bytes.fromhex(text.decode()) for text in publisher.audience.segments)
        readers = publisher.audience.segments[token.hex().encode()]
        for ticket in (100, 2**63, 2**64 - 1):
            parts = encoding.encode_notice(frame(seq, "every"), token, ticket, sent_ns=1)
            assert publisher.send(parts, timeout_s=1.0)
            assert receiver.poll(10.0) == []
        assert receiver.rejects.counts == {"shm": 3}
        assert readers.oldest() == readers.sent
        assert publisher.send_frame(frame(seq, "every"), timeout_s=10.0)
        assert take(receiver).header.seq == seq


def test_words_from_strangers_open_nothing(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with zmq.Context() as context, context.socket(zmq.XPUB) as stranger:
        stranger.linger, stranger.rcvtimeo = 0, 20_000
        stranger.xpub_verboser = True
        stranger.bind(endpoint)
        with FrameReceiver([endpoint], "sink", QUICK, OPEN) as receiver:
            while stranger.recv() != b"\x01role.every.sink":
                pass
            notice = encoding.encode_notice(frame(1, "every"), bytes(16), 7, 0)
            offer = Offer(
                stream_id="door",
                machine=windows.machine(),
                pid=os.getpid(),
                descriptor=0,
                inode=os.fstat(0).st_ino,
                token=b"guessed-by-chanc",
                slots=4,
                frame_bytes=1000,
            )
            elsewhere = msgspec.structs.replace(offer, machine="another", token=b"from another one")
            short = [*notice[:2], bytes(notice[2])[:-1]]
            for parts in (
                notice,
                short,
                encoding.encode_offer(offer, "every"),
                encoding.encode_offer(offer, "every"),
                encoding.encode_offer(elsewhere, "every"),
            ):
                stranger.send_multipart(parts)
                assert receiver.poll(10.0) == []
            assert receiver.rejects.counts == {"shm": 2, "pixels": 1}
            stranger.send_multipart(packed(5, "every"))
            assert take(receiver).header.seq == 5
            name = receiver.lanes()[1].name
            for token in (offer.token, elsewhere.token):
                while (heard := stranger.recv()) != b"\x01" + topics.closed(token, name):
                    assert not heard.startswith((b"\x01closed", b"\x01opened"))
            for number in range(600):  # a peer without end of offers costs no memory without end
                token = number.to_bytes(16, "big")
                parts = encoding.encode_offer(msgspec.structs.replace(elsewhere, token=token), "every")
                stranger.send_multipart(parts)
                receiver.poll(10.0)
            assert len(receiver._windows["every"]._refused) == 256


def test_an_end_comes_after_all_frames_in_shared_memory(tmp_path: Path) -> None:
    with publisher_and_sink(tmp_path) as (publisher, receiver):
        seq = send_until_shared(publisher, receiver)
        assert publisher.send_frame(frame(seq, "every"), timeout_s=10.0)
        assert publisher.send(encoding.encode_end(end(seq + 1), "frames"))
        items = receiver.poll(10.0) + receiver.poll(1.0)
        assert seqs_of(items) == [seq]
        assert isinstance(items[-1], EndOfStream)
