"""Endpoints that can't be used are refused in one line that says what to do."""

import fcntl
import os
import socket
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import zmq

from pipeline.base.errors import TransportError
from pipeline.wire import address
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.publisher import Publisher
from tests.support import free_port
from tests.wire.peers import OPEN, QUICK, answer, program, security, until


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("ipc:///tmp/frames", True),
        ("tcp://127.0.0.1:5555", True),
        ("tcp://127.8.9.10:5555", True),
        ("tcp://[::1]:5555", True),
        ("tcp://localhost:5555", True),
        ("tcp://[::ffff:127.0.0.1]:5555", True),
        ("tcp://[::ffff:192.168.1.2]:5555", False),
        ("tcp://*:5555", False),
        ("tcp://0.0.0.0:5555", False),
        ("tcp://[::]:5555", False),
        ("tcp://192.168.1.2:5555", False),
        ("tcp://eth0:5555", False),
        ("tcp://127.0.0.1.example.org:5555", False),
    ],
)
def test_what_stays_on_this_machine(text: str, local: bool) -> None:
    assert address.parse(text).local is local


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ipc://",
        "ipc://@hidden",
        "ipc://*",
        "tcp://host",
        "tcp://:5555",
        "tcp://h:x",
        "tcp://h:65536",
        "udp://h:1",
        "tcp://two words:1",
        "tcp://a..b:1",
    ],
)
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(TransportError, match=r"not an endpoint: write ipc://path or tcp://host:port"):
        address.parse(text)


def cannot_bind(endpoint: str) -> str:
    with pytest.raises(TransportError) as caught:
        Publisher(endpoint, QUICK, security(insecure=True))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(endpoint)
    return str(caught.value)


def test_a_port_in_use() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert "already used by another program" in cannot_bind(f"tcp://127.0.0.1:{other.getsockname()[1]}")


def test_an_address_of_another_machine() -> None:
    assert "not an address of this machine" in cannot_bind(f"tcp://192.0.2.1:{free_port()}")


def test_a_host_that_is_not_known() -> None:
    endpoint = "tcp://no-such-host.invalid:5555"
    assert "'no-such-host.invalid' is not known" in cannot_bind(endpoint)
    with FrameReceiver([endpoint], "sink", QUICK, security(insecure=True)) as receiver:
        until(lambda: not receiver.poll(0.05) and bool(receiver.rejects.counts), "it says so")
        assert set(receiver.rejects.counts) == {"link"}
        (report,) = receiver.rejects.pop_reports()
        assert report.startswith(f"{endpoint}: host 'no-such-host.invalid' is not known")


def test_a_host_may_become_known_later(monkeypatch: pytest.MonkeyPatch) -> None:
    known = threading.Event()
    resolve = socket.getaddrinfo

    def lookup(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "late.invalid" and not known.is_set():
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return resolve("::1" if host == "late.invalid" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr("pipeline.wire.lookup._AGAIN_S", 0.05)
    connected: list[str] = []
    connect = zmq.Socket.connect

    def note(sock: "zmq.Socket[bytes]", endpoint: str) -> Any:
        connected.append(endpoint)
        return connect(sock, endpoint)

    monkeypatch.setattr(zmq.Socket, "connect", note)
    far = "tcp://late.invalid:5555"
    with FrameReceiver([far], "sink", QUICK, security(insecure=True)) as receiver:
        until(lambda: not receiver.poll(0.01) and bool(receiver.rejects.counts), "it says so")
        assert far not in connected
        known.set()
        until(lambda: not receiver.poll(0.01) and len(connected) >= 2, "both lanes connect")


def test_nowhere_to_connect_to() -> None:
    with pytest.raises(TransportError, match="give a host and a port"):
        FrameReceiver(["tcp://*:5555"], "sink", QUICK, OPEN)


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    assert "the system allows 107" in cannot_bind(f"ipc://{tmp_path}/{'x' * 107}")


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    assert f"there is no folder {tmp_path}/run: create it" in cannot_bind(f"ipc://{tmp_path}/run/frames")


def test_a_file_in_the_way_is_kept(tmp_path: Path) -> None:
    (tmp_path / "frames").write_text("precious")
    assert "is not a socket" in cannot_bind(f"ipc://{tmp_path}/frames")
    assert (tmp_path / "frames").read_text() == "precious"


def test_a_path_in_use_is_not_stolen(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with Publisher(endpoint, QUICK, OPEN) as first:
        assert "already used by another program" in cannot_bind(endpoint)
        with FrameReceiver([endpoint], "sink", QUICK, OPEN) as receiver:
            while not first.listeners():
                receiver.poll(0.01)
    assert list(tmp_path.iterdir()) == []


def test_a_stale_file_is_replaced(tmp_path: Path) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "frames"))
    stale.close()
    with Publisher(f"ipc://{tmp_path}/frames", QUICK, OPEN):
        pass
    assert list(tmp_path.iterdir()) == []


def test_closing_leaves_the_file_of_a_successor(tmp_path: Path) -> None:
    place = tmp_path / "frames"
    publisher = Publisher(f"ipc://{place}", QUICK, OPEN)
    place.unlink()
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(str(place))
        publisher.close()
        assert place.exists()


def hold_folder(connection: Connection, folder: Path) -> None:
    """Keeps a lock on a folder until it is killed."""
    fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH)
    connection.send("locked")
    connection.recv()


def bind_once(connection: Connection, endpoint: str) -> None:
    connection.send(cannot_bind(endpoint))


def close_once(connection: Connection, endpoint: str) -> None:
    with Publisher(endpoint, QUICK, OPEN):
        connection.send("bound")
        connection.recv()
    connection.send("closed")


def test_a_folder_that_another_program_keeps_locked_is_refused(tmp_path: Path) -> None:
    with program(hold_folder, tmp_path) as (_, holder):
        assert answer(holder) == "locked"
        with program(bind_once, f"ipc://{tmp_path}/frames") as (_, binder):
            assert "locked: choose a folder of your own" in answer(binder)


def test_a_publisher_closes_though_another_program_keeps_the_folder_locked(tmp_path: Path) -> None:
    with program(close_once, f"ipc://{tmp_path}/frames") as (_, publisher):
        assert answer(publisher) == "bound"
        with program(hold_folder, tmp_path) as (_, holder):
            assert answer(holder) == "locked"
            publisher.send("close")
            assert answer(publisher) == "closed"
