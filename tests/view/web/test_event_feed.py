import json
import socket
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from pipeline.base.event import Event
from pipeline.view.web.event_feed import MOST_CLIENTS, MOST_WAITING
from tests.view.samples import picture
from tests.view.web.client import get, info
from tests.workers.program import until

LARGE = 2000


def event(number, size=0):
    return Event(
        id=f"{number:016}",
        time="2026-11-29T12:00:00.000Z",
        stream_id="жест 手",
        kind="moving",
        phase="once",
        why={"padding": "x" * size},
    )


class Listener:
    """A client of ``/api/events/live`` on a plain socket."""

    def __init__(self, view, buffer=None):
        place = urlsplit(view.url)
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(10)  # less than between signs of life
        self.socket.connect((place.hostname, place.port))
        self.socket.sendall(b"GET /api/events/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def head(self):
        """Status and headers, up to the first sign of life: from now on it hears everything."""
        lines = []
        while not (line := self.file.readline()).startswith(b": "):
            assert line, "the server has closed the connection"
            lines.append(line.decode().strip().lower())
        return lines

    def event(self):
        while not (line := self.file.readline()).startswith(b"data: "):
            assert line, "the server has closed the connection"
        return json.loads(line[6:])

    def ends(self):
        """Whether the server has closed the connection; reads all that is left."""
        try:
            while self.file.read(65536):
                pass
        except ConnectionError:
            pass
        return True


def test_events_come_as_they_happen_in_order(view):
    view.tell(event(0))
    with Listener(view) as first, Listener(view) as second:
        head = first.head()
        second.head()
        assert head[0] == "http/1.1 200 ok"
        assert "content-type: text/event-stream; charset=utf-8" in head
        assert "cache-control: no-store" in head
        for number in range(1, 30):
            view.tell(event(number))
        for client in (first, second):
            heard = [client.event() for _ in range(29)]
            assert [int(one["id"]) for one in heard] == list(range(1, 30)), "what was before is in the store"
            assert heard[0]["stream_id"] == "жест 手"


def test_a_client_that_never_reads_is_cut_and_delays_nobody(view):
    with Listener(view, buffer=4096) as deaf, Listener(view) as good:
        good.head()
        deaf.head()
        for number in range(20 * MOST_WAITING):
            view.tell(event(number, LARGE * 10))
            view.publish("door", picture(), info(number))
            assert int(good.event()["id"]) == number
        assert get(view, "/healthz")[0].status == 200
        assert deaf.ends()
        view.tell(event(9999))
        assert int(good.event()["id"]) == 9999


def test_telling_waits_for_nobody_who_is_behind(view):
    """More at once than any client may be behind: it is cut, and told nothing wrong."""
    with Listener(view) as client:
        client.head()
        for number in range(3 * MOST_WAITING):
            view.tell(event(number))
        assert client.ends()
    with Listener(view) as again:
        again.head()
        view.tell(event(7))
        assert int(again.event()["id"]) == 7


def test_the_number_of_clients_is_bounded_and_who_leaves_makes_room(view):
    with ExitStack() as stack:
        clients = [stack.enter_context(Listener(view)) for _ in range(MOST_CLIENTS)]
        for client in clients:
            client.head()
        response, body = get(view, "/api/events/live")
        assert response.status == 503
        assert json.loads(body) == {"error": "too many clients are connected"}

    def taken():
        with Listener(view) as client:
            return b" 200 " in client.file.readline()

    until(taken, "a place for a new client", 30)


def test_the_end_of_the_server_ends_the_clients(view):
    with Listener(view) as client:
        client.head()
        view.close()
        assert client.ends()
    view.tell(event(1))


@pytest.mark.parametrize("header", ["Host: evil.example", "Host: localhost\r\nOrigin: http://evil.example"])
def test_foreign_pages_hear_nothing(view, header):
    place = urlsplit(view.url)
    with socket.create_connection((place.hostname, place.port), timeout=60) as client:
        client.sendall(f"GET /api/events/live HTTP/1.1\r\n{header}\r\n\r\n".encode())
        assert client.recv(100).split()[1] in (b"400", b"403")
