"""Why a port can't be reached, from real attempts."""

import socket
from multiprocessing.connection import Connection

import pytest

from pipeline.wire import address
from pipeline.wire.reach import Reach
from tests.rigs.cut_link import CutLink, Machine
from tests.support import free_port, until
from tests.wire.peers import answer, program

PORT = 5600


def tried(endpoint: str) -> tuple[str, bool]:
    reach = Reach(address.parse(endpoint))
    why = until(lambda: None if (found := reach.poll()) is None else (found,), "an answer")[0]
    return why, reach.is_unknown_host


def test_an_open_port_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert tried(f"tcp://127.0.0.1:{server.getsockname()[1]}") == ("", False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_closed_port_refuses_the_connection(host: str) -> None:
    assert tried(f"tcp://{host}:{free_port()}") == ("connection refused", False)


def test_an_unknown_host_is_named() -> None:
    assert tried("tcp://camera.invalid:5601") == ("host 'camera.invalid' is not known", True)


def try_from(connection: Connection, machine: Machine, endpoint: str) -> None:
    machine.enter()
    connection.send(tried(endpoint))


def test_a_machine_that_does_not_answer() -> None:
    with CutLink() as link:
        link.cut()
        with program(try_from, link.near, f"tcp://{link.far.address}:{PORT}") as (_, near):
            assert answer(near) == ("no answer within 2 s", False)
