"""Programs that are killed, stopped, restarted and slow: real processes, real sockets."""

import os
import signal
from pathlib import Path

import pytest

from pipeline.wire import encoding
from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.messages import EndOfStream
from pipeline.wire.publisher import Publisher
from tests.support import free_port
from tests.wire.peers import (
    CONFIG,
    OPEN,
    QUICK,
    answer,
    end,
    listen_only,
    packed,
    program,
    publish_all,
    publish_forever,
    read_slowly,
    until,
)


def endpoint_of(kind: str, folder: Path) -> str:
    return f"ipc://{folder}/frames" if kind == "ipc" else f"tcp://127.0.0.1:{free_port()}"


@pytest.mark.parametrize("kind", ["ipc", "tcp"])
def test_a_slow_reader_of_every_frame_loses_none(kind: str, tmp_path: Path) -> None:
    endpoint = endpoint_of(kind, tmp_path)
    # The first pause is longer than the heartbeat timeout: a slow reader must not look like a dead one.
    long_pause_s = 3 * QUICK.heartbeat_timeout_ms / 1000
    with (
        program(read_slowly, endpoint, QUICK, 0.01, long_pause_s) as (_, reader),
        program(publish_all, endpoint, QUICK, 60, 480, 20.0) as (_, writer),
    ):
        assert answer(reader) == "up"
        assert answer(reader) == list(range(60))
        assert answer(writer) > 0, "the writer was never held up"
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_reader_of_every_frame_goes_on_where_it_was(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        program(read_slowly, endpoint, QUICK, 0.0, 0.0) as (process, reader),
        Publisher(endpoint, QUICK, OPEN) as publisher,
    ):
        assert answer(reader) == "up"
        until(lambda: publisher.listeners()["inference"] == 1, "the reader listens")
        assert process.pid
        os.kill(process.pid, signal.SIGSTOP)
        seq = 0
        while publisher.send(packed(seq, "every", side=480), timeout_s=0.3):
            seq += 1
        os.kill(process.pid, signal.SIGCONT)
        for parts in (packed(seq, "every"), encoding.encode_end(end(seq + 1), "frames")):
            assert publisher.send(parts, timeout_s=20.0)
        assert answer(reader) == list(range(seq + 1))


def test_a_killed_publisher_takes_no_reader_with_it(tmp_path: Path) -> None:
    """A full queue and a broken connection at once: libzmq's heartbeats would abort the reader."""
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        program(read_slowly, endpoint, QUICK, 0.1, 1.5) as (reader, connection),
        program(publish_all, endpoint, QUICK, 8, 480, 0.0) as (publisher, _),
    ):
        assert answer(connection) == "up"
        publisher.join(20.0)
        assert publisher.exitcode == 0
        with Publisher(endpoint, QUICK, OPEN) as successor:
            until(lambda: successor.listeners()["inference"] == 1, "the reader is back")
            assert successor.send(encoding.encode_end(end(8), "frames"))
            seqs = answer(connection)
            assert seqs == sorted(seqs)
            reader.join(20.0)
            assert reader.exitcode == 0


def test_a_killed_publisher_is_replaced(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    # Not QUICK: on a busy machine a new process may take longer to greet than its short time allows, and a
    # connection that is given up over that counts as refused. A death is noticed at once in either case.
    with FrameReceiver([endpoint], "sink", CONFIG.wire, OPEN) as receiver:
        for session in (1, 2):
            with program(publish_forever, endpoint, CONFIG.wire, session) as (process, connection):
                assert answer(connection) == "up"
                sessions: set[int] = set()

                def hears(session: int = session, sessions: set[int] = sessions) -> bool:
                    for item in receiver.poll(0.1):
                        assert isinstance(item, ReceivedFrame)
                        sessions.add(item.header.session)
                    return session in sessions

                until(hears, f"frames of publisher {session}")
                assert process.pid
                os.kill(process.pid, signal.SIGKILL)
                process.join()
            assert [file.name for file in tmp_path.iterdir()] == ["frames"], "a killed program can't tidy up"
        assert receiver.rejects.counts == {}
    with Publisher(endpoint, QUICK, OPEN):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["ipc", "tcp"])
def test_a_killed_reader_no_longer_holds_anybody_up(kind: str, tmp_path: Path) -> None:
    endpoint = endpoint_of(kind, tmp_path)
    with Publisher(endpoint, QUICK, OPEN) as publisher:
        with program(listen_only, endpoint, QUICK) as (process, connection):
            assert answer(connection) == "up"
            until(lambda: publisher.listeners()["inference"] == 1, "the reader listens")
            seq = 0
            while publisher.send(packed(seq, "every", side=480), timeout_s=0.3):
                seq += 1
            assert not publisher.send(packed(seq, "every")), "a full queue must refuse"
            assert process.pid
            os.kill(process.pid, signal.SIGKILL)
            until(lambda: not publisher.listeners(), "the publisher notices")
            assert publisher.send(packed(seq, "every")), "nobody is left to wait for"
        with FrameReceiver([endpoint], "inference", QUICK, OPEN) as receiver:
            until(lambda: publisher.listeners()["inference"] == 1, "another reader listens")
            assert publisher.send(encoding.encode_end(end(7), "frames"))
            (item,) = receiver.poll(10.0)
            assert isinstance(item, EndOfStream)
            assert item.seq == 7
