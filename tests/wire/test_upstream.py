"""A peer that subscribes without end neither stops the publisher nor fills its memory."""

import itertools
import socket
from multiprocessing.connection import Connection
from pathlib import Path

import zmq

from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.publisher import Publisher
from tests.wire.peers import OPEN, QUICK, answer, packed, program, seqs_of, until


def subscribe_forever(connection: Connection, endpoint: str, names: int) -> None:
    """Subscribes to so many made-up topics, again and again, until it is killed."""
    with zmq.Context() as context, context.socket(zmq.XSUB) as sock:
        sock.connect(endpoint)
        for lane in (b"newest", b"every"):
            sock.send(b"\1role.%b.inference" % lane)
        connection.send("up")
        for number in itertools.cycle(range(names)):
            sock.send(b"\1made-up.%d." % number)


def subscribe_once(connection: Connection, endpoint: str, names: int) -> None:
    """Subscribes to so many made-up topics, and tells when it loses its connection."""
    with zmq.Context() as context, context.socket(zmq.XSUB) as sock:
        monitor = sock.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        sock.sndhwm = 0
        sock.connect(endpoint)
        for number in range(names):
            sock.send(b"\1made-up.%d." % number)
        connection.send("cut off" if monitor.poll(30_000) else "still connected")


def publish_unheard(connection: Connection) -> None:
    """Publishes, does not listen to its socket until it gets the order, then closes it."""
    with Publisher("tcp://127.0.0.1:0", QUICK, OPEN) as publisher:
        connection.send(publisher.endpoint)
        connection.recv()
        connection.send(publisher.listeners())
    connection.send("closed")


def test_plain_connections_while_nobody_listens_to_the_socket_block_nothing() -> None:
    with program(publish_unheard) as (_, connection):
        port = int(answer(connection).rpartition(":")[2])
        for _ in range(2500):
            with socket.create_connection(("127.0.0.1", port), timeout=10.0):
                pass
        connection.send("listen")
        assert answer(connection) == {}
        assert answer(connection) == "closed"


def test_frames_go_on_while_a_peer_of_this_machine_subscribes_without_end(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        Publisher(endpoint, QUICK, OPEN) as publisher,
        FrameReceiver([endpoint], "sink", QUICK, OPEN) as receiver,
    ):
        until(lambda: publisher.listeners()["sink"] == 1, "the receiver listens")
        with program(subscribe_forever, endpoint, 1000) as (_, connection):
            assert answer(connection) == "up"
            until(lambda: publisher.listeners()["inference"] == 1, "the flood has begun")
            for seq in range(50):
                assert publisher.send(packed(seq, "every"), timeout_s=10.0)
                assert seqs_of(receiver.poll(10.0)) == [seq]
        assert publisher.pop_refused() == []


def test_a_peer_that_subscribes_to_60000_topics_is_cut_off_and_reported() -> None:
    with Publisher("tcp://127.0.0.1:0", QUICK, OPEN) as publisher:
        with program(subscribe_once, publisher.endpoint, 60_000) as (_, connection):
            until(lambda: not publisher.listeners() and connection.poll(0), "it loses its connection")
            assert connection.recv() == "cut off"
        (report,) = publisher.pop_refused()
        assert report.startswith("127.0.0.1: more than 20000 subscriptions")
        with FrameReceiver([publisher.endpoint], "sink", QUICK, OPEN) as receiver:
            until(
                lambda: not receiver.poll(0.01) and publisher.listeners()["sink"] == 1,
                "another one is let in",
                timeout_s=60.0,
            )
            assert publisher.send(packed(1, "every"), timeout_s=10.0)
            assert seqs_of(receiver.poll(10.0)) == [1]
