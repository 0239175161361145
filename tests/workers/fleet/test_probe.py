import contextlib
import socket
from contextlib import closing

import pytest

from workers.fleet.probe import refuses


def test_a_port_that_nobody_listens_at_refuses():
    with closing(socket.create_server(("127.0.0.1", 0))) as listens:
        endpoint = f"tcp://127.0.0.1:{listens.getsockname()[1]}"
        assert not refuses([endpoint]), "it does not accept, as a process that hangs"
    assert refuses([endpoint])
    assert refuses([endpoint, "tcp://127.0.0.1:1"])


def test_who_gives_no_answer_may_be_there():
    assert not refuses([])
    assert not refuses(["tcp://no-such-host.invalid:5000"])
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0), backlog=0)))
        with contextlib.suppress(TimeoutError):  # Linux answers no more once the queue is full
            while True:
                stack.enter_context(closing(socket.create_connection(full.getsockname(), 0.2)))
        assert not refuses([f"tcp://127.0.0.1:{full.getsockname()[1]}"])


def test_an_address_of_ipv6_can_refuse():
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with closing(server):
        endpoint = f"tcp://[::1]:{server.getsockname()[1]}"
        assert not refuses([endpoint])
    assert refuses([endpoint])
