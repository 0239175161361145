import socket

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pipeline.view.web.server_thread import ServerThread
from tests.rigs.http import ask


def listening():
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, "{}:{}".format(*listener.getsockname())


async def hello(_):
    return PlainTextResponse("hello", headers={"connection": "close"})


def test_it_serves_until_it_is_closed():
    listener, address = listening()
    server = ServerThread(Starlette(routes=[Route("/", hello)]), listener, "hello")
    assert server.start()
    assert ask(address, "GET", "/") == (200, b"hello")
    server.close()
    with pytest.raises(ConnectionRefusedError):
        ask(address, "GET", "/")
