import resource
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import msgspec
import pytest

from pipeline.base.event import Event
from pipeline.view.web.connections import MOST_CONNECTIONS
from tests.support import without
from tests.view.samples import picture
from tests.view.web.client import Browser, get, info
from tests.workers.program import until

IDLE = 1100
SINK = """
import resource, sys
from pipeline.view.web.server import WebView
from tests.view.samples import picture
from tests.view.web.client import info

resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
with WebView("127.0.0.1", 0, max_fps=200) as view:
    print(view.url, flush=True)
    for seq, _ in enumerate(sys.stdin):
        view.publish("door", picture(), info(seq))
        try:
            files = [open("/proc/self/stat") for _ in range(256)]
        except OSError as error:
            print(error.strerror, flush=True)
        else:
            for file in files:
                file.close()
            print("works", flush=True)
"""


@pytest.fixture
def many_descriptors():
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 2 * IDLE:
        without("this machine lets a process open too few files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before, 2 * IDLE), most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


def idle_connections(view, count):
    place = urlsplit(view.url)
    return [socket.create_connection((place.hostname, place.port), timeout=30) for _ in range(count)]


def closed_by_server(connection):
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


@pytest.mark.usefixtures("many_descriptors")
def test_idle_connections_without_end_cost_neither_the_page_nor_the_descriptors():
    sink = subprocess.Popen(
        [sys.executable, "-c", SINK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        text=True,
    )
    with sink, ExitStack() as stack:
        stack.callback(sink.stdin.close)
        view = SimpleNamespace(url=sink.stdout.readline().strip())
        for connection in idle_connections(view, IDLE):
            stack.enter_context(connection)

        def publish():
            print(file=sink.stdin, flush=True)
            return sink.stdout.readline().strip()

        assert publish() == "works"
        assert len(list(Path(f"/proc/{sink.pid}/fd").iterdir())) < MOST_CONNECTIONS + 100
        assert get(view, "/healthz")[0].status == 200
        with Browser(view) as browser:
            browser.say(watch=["door"])
            assert browser.picture()[0]["stream_id"] == "door"
            assert publish() == "works"
    assert sink.returncode == 0


def test_a_browser_that_is_served_keeps_its_connection(view):
    with Browser(view) as browser, ExitStack() as stack:
        browser.hear()
        for connection in idle_connections(view, 2 * MOST_CONNECTIONS):
            stack.enter_context(connection)
        browser.say(watch=["door"])
        view.publish("door", picture(), info(1))
        assert browser.picture()[0]["stream_id"] == "door"


def test_requests_that_never_end_are_closed(view):
    beginnings = [b"", b"GET / HTTP/1.1\r\n", b"GET /healthz HTTP/1.1\r\nHost: local"]
    with ExitStack() as stack:
        connections = [stack.enter_context(one) for one in idle_connections(view, len(beginnings))]
        for connection, beginning in zip(connections, beginnings, strict=True):
            connection.sendall(beginning)
        assert all(closed_by_server(connection) for connection in connections)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_that_comes_byte_by_byte_is_closed(view, method):
    """GET: the head never ends. POST: the body never does, and nobody wants it."""
    (connection,) = idle_connections(view, 1)
    head = f"{method} /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
    with connection:
        connection.sendall(head.encode() + (b"\r\n" if method == "POST" else b"X: "))
        deadline_s = time.monotonic() + 60
        while time.monotonic() < deadline_s:
            try:
                connection.send(b"x")
                connection.settimeout(0.05)
                if connection.recv(4096) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        else:
            pytest.fail("the connection is still open")


def open_sockets():
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # it has just been closed
            found.add(str(descriptor.readlink()))
    return {name for name in found if name.startswith("socket:")}


def test_an_answer_without_end_that_nobody_takes_is_given_up(view):
    """Unsent bytes stay with the kernel, so only the server can tell that it has let go of them."""
    before = open_sockets()
    place = urlsplit(view.url)
    with socket.socket() as connection:
        connection.connect((place.hostname, place.port))
        connection.sendall(b"GET /api/events/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(100)
        until(lambda: len(open_sockets() - before) == 2, "both ends are open", 10)
        event = Event(id="1", time="2026-11-29T12:00:00.000Z", stream_id="door", kind="moving", phase="once")
        large = msgspec.structs.replace(event, why={"padding": "x" * 1_000_000})

        def given_up():
            view.tell(large)
            return len(open_sockets() - before) == 1

        until(given_up, "the server has let go", 60)
