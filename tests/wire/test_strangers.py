"""What others send to our sockets is counted and reported, and the good messages still come through."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import zmq

from pipeline.account.stats import WorkerStats
from pipeline.base.errors import WireError
from pipeline.wire import encoding, messages
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.links import LinkWatch
from pipeline.wire.publisher import Publisher
from pipeline.wire.receivers import PredictionReceiver, StatsReceiver
from pipeline.wire.rejects import Rejects
from tests.support import free_port
from tests.wire.peers import OPEN, QUICK, packed, prediction, seqs_of, until


@contextmanager
def stranger(endpoint: str) -> Iterator["zmq.Socket[bytes]"]:
    """A publisher that is none of ours."""
    with zmq.Context() as context, context.socket(zmq.XPUB) as sock:
        sock.linger = 0
        sock.xpub_verbose = True
        sock.bind(endpoint)
        yield sock


def wait_for_reader(sock: "zmq.Socket[bytes]", topic: bytes) -> None:
    while sock.recv() != b"\x01" + topic:
        pass


def test_bad_messages_of_a_peer_are_counted_and_good_ones_still_come(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    good = packed(3, "every")
    header = msgspec.msgpack.decode(good[1])
    newer = [good[0], msgspec.msgpack.encode(header | {"v": messages.WIRE_VERSION + 1}), good[2]]
    with stranger(endpoint) as sock, FrameReceiver([endpoint], "sink", QUICK, OPEN) as receiver:
        sock.rcvtimeo = 20_000
        wait_for_reader(sock, b"role.every.sink")
        lone, noise, hollow = [b"f.every."], [b"f.every.", os.urandom(50)], [b"f.every.x", b"", b""]
        bad: list[Sequence[messages.Part]] = [lone, noise, hollow, newer, newer, [*good[:2], b"x"]]
        for parts in bad:
            sock.send_multipart(parts)
            assert receiver.poll(10.0) == []
        sock.send_multipart(good)
        assert seqs_of(receiver.poll(10.0)) == [3]
        assert receiver.rejects.counts == {"parts": 1, "header": 2, "version": 2, "pixels": 1}
        reports = receiver.rejects.pop_reports()
        assert len(reports) == 4
        versions = f"peer uses wire version {messages.WIRE_VERSION + 1}, this program {messages.WIRE_VERSION}"
        assert f"{versions}: update the older one" in reports[2]
        assert receiver.rejects.pop_reports() == []


def test_a_prediction_among_frames_is_refused(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/predictions"
    parts = encoding.encode_prediction(prediction(0, "every"))
    frame = packed(0, "every")
    with stranger(endpoint) as sock, PredictionReceiver([endpoint], QUICK, OPEN) as receiver:
        sock.rcvtimeo = 20_000
        wait_for_reader(sock, b"role.every.sink")
        sock.send_multipart([parts[0], *frame[1:]])
        assert receiver.poll(10.0) == []
        assert receiver.rejects.counts == {"topic": 1}


def test_a_message_over_the_limit_never_arrives(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    small = msgspec.structs.replace(QUICK, max_frame_mb=0.1)
    with (
        Publisher(endpoint, QUICK, OPEN) as publisher,
        FrameReceiver([endpoint], "sink", small, OPEN) as receiver,
    ):
        until(lambda: publisher.listeners()["sink"] == 1, "the receiver listens")
        publisher.send(packed(0, "every", side=480))
        until(lambda: not publisher.listeners(), "the receiver hangs up on it")
        until(lambda: not receiver.poll(0.01) and publisher.listeners()["sink"] == 1, "the receiver is back")
        assert receiver.rejects.counts == {"link": 1}
        assert "max_frame_mb" in receiver.rejects.pop_reports()[0]
        publisher.send(packed(1, "every", side=20))
        assert seqs_of(receiver.poll(10.0)) == [1]


def test_statistics_that_are_too_large_are_refused_before_they_fill_memory(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/stats"
    stats = WorkerStats("sink", "sink", 1, "host", 2)
    (topic, good), huge = encoding.encode_stats(stats), bytes(messages.MAX_STATS_BYTES + 1)
    stats.stream("door").seen = dict.fromkeys(range(100_000), 1)
    with stranger(endpoint) as sock, StatsReceiver({"sink": [endpoint]}, QUICK, OPEN) as receiver:
        sock.rcvtimeo = 20_000
        wait_for_reader(sock, b"s.")
        sock.send_multipart([topic, msgspec.msgpack.encode(messages.Stats(stats=stats))])
        assert receiver.poll(10.0) == []
        assert receiver.rejects.counts == {"size": 1}
        assert "bytes in memory, at most" in receiver.rejects.latest["size"]
        sock.send_multipart([topic, huge])
        until(lambda: not receiver.poll(0.01) and "link" in receiver.rejects.counts, "it is cut off")
        assert "statistics larger than 512 KiB" in receiver.rejects.latest["link"]
        wait_for_reader(sock, b"s.")
        sock.send_multipart([topic, good])
        assert len(receiver.poll(10.0)) == 1


def test_a_peer_that_dies_once_before_it_has_greeted_is_not_said_to_refuse() -> None:
    with zmq.Context() as context, context.socket(zmq.SUB) as sock:
        sock.linger, sock.reconnect_ivl = 0, 1000
        sock.subscribe(b"greeted")
        watch = LinkWatch(sock)
        sock.connect(endpoint := f"tcp://127.0.0.1:{(port := free_port())}")
        for _ in range(2):
            with socket.create_server(("127.0.0.1", port)) as dying:
                dying.settimeout(20.0)
                dying.accept()[0].close()
                again = dying.accept()[0]
                assert watch.poll() == set(), "by now it has seen the first one"
                again.close()
                until(lambda: endpoint in watch.poll(), "it says so")
            with stranger(endpoint) as greeting:
                # libzmq subscribes again once the socket is used.
                until(lambda: not sock.poll(10) and bool(greeting.poll(10)), "they have greeted")
                watch.poll()
        context.destroy(linger=0)


def test_noise_from_a_plain_tcp_client_does_not_disturb() -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with (
        Publisher(endpoint, QUICK, OPEN) as publisher,
        FrameReceiver([endpoint], "sink", QUICK, OPEN) as receiver,
    ):
        until(lambda: publisher.listeners()["sink"] == 1, "the receiver listens")
        for noise in (
            b"GET / HTTP/1.1\r\n\r\n",
            os.urandom(5000),
            b"\xff" + bytes(8) + b"\x7f\x03" + os.urandom(500),
        ):
            with socket.create_connection(("127.0.0.1", int(endpoint.rpartition(":")[2]))) as client:
                client.sendall(noise)
        publisher.send(packed(1, "every"))
        assert seqs_of(receiver.poll(10.0)) == [1]
        assert publisher.listeners() == {"sink": 1}


def test_a_receiver_outlives_another_program_on_the_port() -> None:
    port = free_port()
    endpoint = f"tcp://127.0.0.1:{port}"
    with FrameReceiver([endpoint], "sink", QUICK, OPEN) as receiver:
        with socket.create_server(("127.0.0.1", port)) as web, web.accept()[0] as connection:
            connection.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00WRONG" + bytes(60))
            until(lambda: not receiver.poll(0.01) and bool(receiver.rejects.counts), "it is refused")
        with Publisher(endpoint, QUICK, OPEN) as publisher:
            until(
                lambda: not receiver.poll(0.01) and publisher.listeners()["sink"] == 1, "the receiver is back"
            )
            publisher.send(packed(1, "every"))
            assert seqs_of(receiver.poll(10.0)) == [1]


def test_noise_from_a_subscriber_does_not_disturb(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        Publisher(endpoint, QUICK, OPEN) as publisher,
        FrameReceiver([endpoint], "sink", QUICK, OPEN) as receiver,
    ):
        until(lambda: publisher.listeners()["sink"] == 1, "the receiver listens")
        with zmq.Context() as context, context.socket(zmq.XSUB) as odd:
            odd.linger = 0
            odd.connect(endpoint)
            for topic in (
                b"\1role.every.admin",
                b"\0role.every.sink",
                b"\1reader.\xff",
                b"\1taken",
                b"",
                b"\2x",
            ):
                odd.send(topic)
            for lane in (b"newest", b"every"):
                odd.send(b"\1role.%b.inference" % lane)
            until(lambda: publisher.listeners()["inference"] == 1, "its last notice has come")
        publisher.send(packed(1, "every"))
        assert seqs_of(receiver.poll(10.0)) == [1]


def test_reports_of_one_minute_are_one_a_peer_and_reason() -> None:
    rejects = Rejects()
    for peer in ("a", "b"):
        for _ in range(1000):
            rejects.add(peer, WireError("size", "too large"))
            rejects.add(peer, WireError("version", "too new"))
    assert rejects.counts == {"size": 2000, "version": 2000}
    assert len(rejects.pop_reports()) == 4
    for number in range(10_000):
        rejects.add(str(number), WireError("size", "too large"))
    assert len(rejects.pop_reports()) <= 256
    assert rejects.counts["size"] == 12_000
