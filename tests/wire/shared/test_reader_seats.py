"""Readers of shared memory that are slow, stopped, killed, new, or back again: nobody else loses a frame."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
import zmq

from pipeline.base.errors import WireError
from pipeline.wire import decoding, encoding, frame_publisher, topics
from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.frame_publisher import FramePublisher
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.messages import FrameHeader, Offer
from pipeline.wire.shared.segment import Window
from tests.rigs.slow_link import SlowLink
from tests.support import free_port, need_command, without
from tests.wire.peers import CONFIG, OPEN, QUICK, answer, end, frame, program, seqs_of, until
from tests.wire.shared_helpers import (
    publish_all,
    publisher_and_sink,
    publisher_at,
    read_all,
    read_forever,
    send_until_shared,
    take,
    wait_for_readers,
)


def test_a_slow_reader_of_every_frame_loses_none(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        program(read_all, endpoint, 0.01) as (_, reader),
        program(publish_all, endpoint, 100, 480, {}) as (_, writer),
    ):
        assert answer(reader) == answer(writer) == "up"
        assert answer(reader) == (list(range(100)), [])
        sent, refused, events = answer(writer)
        assert sent["shm"] >= 80
        assert refused > 0, "the writer was never held up"
        assert events == []


def test_a_stopped_reader_holds_up_every_frame_and_then_gets_it(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        program(read_all, endpoint, 0.0) as (process, reader),
        publisher_at(endpoint) as publisher,
        FrameReceiver([endpoint], "sink", QUICK, OPEN) as second,
    ):
        assert answer(reader) == "up"
        wait_for_readers(publisher, 2)
        seq = send_until_shared(publisher, second)
        assert process.pid
        os.kill(process.pid, signal.SIGSTOP)
        before = seq
        while publisher.send_frame(frame(seq, "every"), timeout_s=0.3):
            seq += 1
            second.poll(0.1)
        assert seq - before <= QUICK.queue_frames
        os.kill(process.pid, signal.SIGCONT)
        assert publisher.send_frame(frame(seq, "every"), timeout_s=20.0)
        until(lambda: publisher.send(encoding.encode_end(end(seq + 1), "frames")), "the end goes out")
        assert answer(reader) == (list(range(seq + 1)), [])


def test_a_killed_reader_no_longer_holds_anybody_up(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        publisher_at(endpoint) as publisher,
        program(read_forever, endpoint) as (process, connection),
    ):
        assert answer(connection) == "up"
        until(lambda: publisher.listeners()["inference"] == 1, "it listens")
        seq = 0
        while not connection.poll():
            assert publisher.send_frame(frame(seq, "every"), timeout_s=10.0)
            seq += 1
        assert process.pid
        os.kill(process.pid, signal.SIGSTOP)
        while publisher.send_frame(frame(seq, "every"), timeout_s=0.3):
            seq += 1
        os.kill(process.pid, signal.SIGKILL)
        until(lambda: publisher.send_frame(frame(seq, "every")), "nobody is waited for any more")
        with FrameReceiver([endpoint], "inference", QUICK, OPEN) as receiver:
            until(lambda: publisher.listeners()["inference"] == 1, "another reader listens")
            last = publisher.sent("door")["shm"]
            for more in range(seq + 1, seq + 200):
                assert publisher.send_frame(frame(more, "every"), timeout_s=10.0)
                assert take(receiver).header.seq == more
            assert publisher.sent("door")["shm"] > last


def test_a_new_reader_in_the_middle_misses_nothing_from_then_on(tmp_path: Path) -> None:
    with publisher_and_sink(tmp_path) as (publisher, first):
        seq = send_until_shared(publisher, first)
        with program(read_all, publisher.endpoint, 0.0) as (_, connection):
            assert answer(connection) == "up"
            until(lambda: publisher.listeners()["inference"] == 1, "another listens")
            start, before = seq, publisher.sent("door")["shm"]
            while publisher.sent("door")["shm"] < before + 20:
                assert publisher.send_frame(frame(seq, "every"), timeout_s=10.0)
                assert take(first).header.seq == seq
                seq += 1
            until(lambda: publisher.send(encoding.encode_end(end(seq), "frames")), "the end goes out")
            assert answer(connection) == (list(range(start, seq)), [])
            assert publisher.sent("door")["raw"] >= 2, "sockets served until both had opened it"


def test_a_stuck_reader_of_newest_frames_sees_which_it_has_lost(tmp_path: Path) -> None:
    with publisher_and_sink(tmp_path) as (publisher, receiver):
        seq = send_until_shared(publisher, receiver, policy="newest")
        for more in range(seq, seq + 30):
            assert publisher.send_frame(frame(more)), "a live frame never waits"
            time.sleep(0.005)
        arrived: list[ReceivedFrame] = []

        def all_came() -> bool:
            arrived.extend(item for item in receiver.poll(0.1) if isinstance(item, ReceivedFrame))
            return arrived[-1:] != [] and arrived[-1].header.seq == seq + 29

        until(all_came, "the last one")
        lost = [item for item in arrived if item.lost]
        assert 0 < len(lost) < len(arrived)
        for item in arrived:
            assert bool(item.lost) == (item.header.seq < seq + 22), "its slot was written again"
            if not item.lost:
                assert item.decode().image[0, 0, 0] == item.header.seq % 256
        with pytest.raises(WireError, match="the sink was too slow to read a frame, which is not shown"):
            lost[0].decode()


def test_one_reader_that_cannot_open_it_does_not_cost_the_others_their_memory(tmp_path: Path) -> None:
    """That one is also stopped for a while: in between, half of a frame's messages have gone."""
    if os.geteuid() != 0:
        without("only root can become another user")
    with (
        publisher_at(f"tcp://127.0.0.1:{free_port()}") as publisher,
        FrameReceiver([publisher.endpoint], "sink", QUICK, OPEN) as local,
        program(read_all, publisher.endpoint, 0.0, 65534) as (process, connection),
    ):
        assert answer(connection) == "up"
        wait_for_readers(publisher, 2)
        seq, got = send_until_shared(publisher, local, side=480), []
        for stopped in (False, True, False):
            if stopped:
                assert process.pid
                os.kill(process.pid, signal.SIGSTOP)
                while publisher.send_frame(frame(seq, "every", side=480), timeout_s=0.3):
                    seq += 1
                    got += seqs_of(local.poll(0.1))
                os.kill(process.pid, signal.SIGCONT)
            for _ in range(20):
                assert publisher.send_frame(frame(seq, "every", side=480), timeout_s=10.0)
                seq += 1
                item = take(local)
                assert item.decode().image[0, 0, 0] == item.header.seq % 256
                assert item.header.encoding == "shm"
                got.append(item.header.seq)
        until(lambda: publisher.send(encoding.encode_end(end(seq), "frames")), "the end goes out")
        got += seqs_of(local.poll(1.0))
        assert got == list(range(seq - len(got), seq)), "each once"
        seqs, (report,) = answer(connection)
        assert seqs == list(range(seq)), "each once, though it was stopped"
        assert "can't be opened here" in report
        assert local.rejects.counts == {}
        sent = publisher.sent("door")
        assert sent["raw"] == seq
        assert sent["shm"] >= 60


def test_who_only_says_that_it_has_opened_the_memory_holds_nobody_up(tmp_path: Path) -> None:
    """A reader on another machine gets offers as well: it could say so, and never give a frame back."""
    wire = msgspec.structs.replace(QUICK, heartbeat_timeout_ms=50)
    with (
        publisher_at(f"ipc://{tmp_path}/frames", wire) as publisher,
        FrameReceiver([publisher.endpoint], "sink", CONFIG.wire, OPEN) as honest,
        zmq.Context() as context,
        context.socket(zmq.SUB) as liar,
    ):
        liar.linger = 0
        for topic in (topics.frames("every"), topics.offer("every"), topics.reader("every", b"liar")):
            liar.subscribe(topic)
        liar.connect(publisher.endpoint)
        while not publisher.listeners()["sink"]:
            honest.poll(0.01)  # which also mends its link: a busy machine may be too slow to greet
        while b"liar" not in publisher.audience.readers("every"):
            publisher.listeners()  # which takes in who has come
            time.sleep(0.005)
        seq, events = 0, []
        while publisher.sent("door")["shm"] < 50:
            assert publisher.send_frame(frame(seq, "every"), timeout_s=10.0)
            assert take(honest).header.seq == seq
            while liar.poll(0):
                parts = liar.recv_multipart()
                if topics.is_offer(parts[0], "every"):
                    offer = decoding.decode_message(parts, 1 << 20)
                    assert isinstance(offer, Offer)
                    liar.subscribe(topics.opened(offer.token, b"liar"))
            seq += 1
            events += publisher.pop_events()
            time.sleep(0.002)
        (event,) = events
        assert "reports the shared memory as open but has not opened it" in event
        assert honest.rejects.counts == {}


@pytest.mark.parametrize("opens", [False, True])
def test_a_reader_that_is_back_before_its_old_connection_is_dead_gets_every_frame(
    opens: bool, tmp_path: Path
) -> None:
    """After a cut cable the reader notices first: its publisher hears it twice, and then leave once."""
    endpoint = f"ipc://{tmp_path}/frames"
    name = b"twice"
    with (
        publisher_at(endpoint) as publisher,
        FrameReceiver([endpoint], "sink", QUICK, OPEN) as local,
        zmq.Context() as context,
        context.socket(zmq.SUB) as new,
        context.socket(zmq.SUB) as old,
    ):
        window: Window | None = None
        seq = 0

        def say(*topics_: bytes) -> None:
            for sock in (old, new):
                for topic in topics_:
                    sock.subscribe(topic)

        def play(until_shared: int) -> list[tuple[int, bytes]]:
            """Sends frames; what the reader that is heard twice gets, by number and kind of topic."""
            nonlocal seq, window
            got, before = [], publisher.sent("door")["shm"]
            while publisher.sent("door")["shm"] < before + until_shared:
                assert publisher.send_frame(frame(seq, "every"), timeout_s=10.0)
                assert take(local).header.seq == seq
                seq += 1
                while new.poll(20):
                    parts = new.recv_multipart()
                    message = decoding.decode_message(parts, 1 << 20)
                    if isinstance(message, Offer) and opens:
                        window = window or Window(message, 1 << 20)
                        if window.sit(name):
                            say(topics.opened(message.token, name))
                    elif isinstance(message, Offer):
                        say(topics.without("every", message.token), topics.closed(message.token, name))
                    elif isinstance(message, FrameHeader):
                        got.append((message.seq, parts[0][:2]))
                        if message.encoding == "shm" and window:
                            window.give_back(decoding.decode_place(parts[2])[1])
                while not old.closed and old.poll(0):
                    old.recv_multipart()
                assert seq < 200
            return got

        for sock in (old, new):
            sock.linger = 0
            sock.connect(endpoint)
        say(topics.frames("every"), topics.offer("every"), topics.reader("every", name))
        until(
            lambda: publisher.listeners()["sink"] == 1 and name in publisher.audience.readers("every"),
            "both listen",
        )
        play(until_shared=5)
        old.close()
        first, got = seq, play(until_shared=15)
        kind = b"f." if opens else b"a."
        assert [number for number, topic in got if topic == kind] == list(range(first, seq))
        if window:
            window.close()


def test_a_reader_whose_link_breaks_gets_shared_frames_again_when_it_is_back(tmp_path: Path) -> None:
    """Its subscriptions come back by themselves, while its seat was given to another."""
    port, relayed = free_port(), free_port()
    link = SlowLink(relayed, port, 1e6)
    with (
        publisher_at(f"tcp://127.0.0.1:{port}") as publisher,
        FrameReceiver([f"tcp://127.0.0.1:{relayed}"], "sink", QUICK, OPEN) as receiver,
    ):
        seq = 0
        for _ in range(2):
            with FrameReceiver([publisher.endpoint], "inference", QUICK, OPEN) as other:
                until(lambda: publisher.listeners()["inference"] == 1, "another listens")
                with link:
                    while not publisher.listeners()["sink"]:
                        receiver.poll(0.01)  # which also mends its links
                    seq = _send_until_more_are_shared(publisher, seq, other, receiver)
                until(lambda: not publisher.listeners()["sink"], "it is gone")
                with FrameReceiver([publisher.endpoint], "inference", QUICK, OPEN) as third:
                    until(lambda: publisher.listeners()["inference"] == 2, "a third takes its place")
                    seq = _send_until_more_are_shared(publisher, seq, other, third)
            until(lambda: not publisher.listeners()["inference"], "the others have gone")
        assert publisher.pop_events() == []
        assert receiver.rejects.counts == {}


def _send_until_more_are_shared(publisher: FramePublisher, seq: int, *receivers: FrameReceiver) -> int:
    before = publisher.sent("door")["shm"]
    while publisher.sent("door")["shm"] < before + 10:
        assert publisher.send_frame(frame(seq, "every"), timeout_s=10.0)
        for receiver in receivers:
            item = take(receiver)
            assert item.header.seq == seq
            assert item.decode().image[0, 0, 0] == seq % 256
        seq += 1
        time.sleep(0.005)
    return seq


@pytest.mark.parametrize("encoding", ["raw", "auto"])
def test_a_stream_that_is_held_up_for_long_says_so(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_publisher, "_HELD_S", 0.3)
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        program(read_forever, endpoint) as (process, connection),
        publisher_at(endpoint, encoding=encoding) as publisher,
    ):
        assert answer(connection) == "up"
        until(lambda: publisher.listeners()["inference"] == 1, "it listens")
        for seq in range(30):
            assert publisher.send_frame(frame(seq, "every"), timeout_s=10.0)
        assert publisher.pop_events() == []
        assert process.pid
        os.kill(process.pid, signal.SIGSTOP)
        seq, events = 30, []
        deadline = time.monotonic() + 2.0
        while time.monotonic() < deadline:
            seq += publisher.send_frame(frame(seq, "every"), timeout_s=0.01)
            events += publisher.pop_events()
        (event,) = events
        assert event.startswith("door: held up for 0.3 s or more")


READER = """
import sys
from tests.wire.shared_helpers import read_all
class Out:
    def send(self, item): print(item, flush=True)
read_all(Out(), sys.argv[1], 0.0)
"""


def test_a_reader_in_another_container_gets_frames_through_the_socket(tmp_path: Path) -> None:
    """In a container processes have other numbers: here in a namespace of its own."""
    unshare = [need_command("unshare", "util-linux"), "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        without("this machine lets nobody make a namespace")
    endpoint = f"ipc://{tmp_path}/frames"
    with subprocess.Popen(
        [*unshare, sys.executable, "-c", READER, endpoint], stdout=subprocess.PIPE, text=True
    ) as reader:
        try:
            with program(publish_all, endpoint, 30, 240, {}) as (_, writer):
                assert answer(writer) == "up"
                assert answer(writer)[0] == {"raw": 30}
            out, _ = reader.communicate(timeout=20.0)
        finally:
            reader.kill()
    assert str(list(range(30))) in out
    assert "can't be opened here" in out
