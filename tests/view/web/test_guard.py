import socket
from contextlib import ExitStack
from functools import partial
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from pipeline.view.web.server import WebError, WebView
from tests.view.web.client import Browser, get


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (None, 200),
        ("localhost", 200),
        ("LOCALHOST:9000", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8642", 200),
        ("evil.example", 400),
        ("evil.example:8642", 400),
        ("localhost.evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("192.168.1.7:8642", 400),
        ("", 400),
        ("[::1", 400),
        ("localhost@evil.example", 400),
    ],
)
def test_only_loopback_names_are_served(view, host, status):
    assert get(view, "/", host)[0].status == status
    assert get(view, "/healthz", host)[0].status == status


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:1", "null", "https://127.0.0.1"])
def test_foreign_pages_cannot_open_the_socket(view, origin):
    with pytest.raises(InvalidStatus) as refused:
        Browser(view, origin)
    assert refused.value.response.status_code == 403


def test_rebound_names_cannot_open_the_socket(view):
    address = ("127.0.0.1", urlsplit(view.url).port)
    with socket.create_connection(address) as raw, ExitStack() as stack:
        rebound = partial(connect, "ws://evil.example/live", sock=raw, origin="http://evil.example")
        with pytest.raises(InvalidStatus) as refused:
            stack.enter_context(rebound())
    assert refused.value.response.status_code == 400


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "example.com", ""])
def test_other_machines_are_not_served(host):
    with pytest.raises(WebError, match="the page is served on loopback addresses only"):
        WebView(host, 0).start()


@pytest.mark.parametrize("host", ["::1", "0:0:0:0:0:0:0:1", "::0001"])
def test_every_spelling_of_the_ipv6_loopback_address_serves(host):
    with WebView(host, 0) as view, Browser(view) as browser:
        assert view.url.startswith("http://[::1]:")
        assert get(view, "/healthz")[0].status == 200
        browser.lists([], [])


def test_another_ipv4_loopback_address_serves():
    with WebView("127.0.0.2", 0) as view:
        assert get(view, "/healthz")[0].status == 200


def test_localhost_by_name():
    with WebView("localhost", 0) as view:
        assert view.url.startswith("http://localhost:")
        assert get(view, "/healthz")[0].status == 200
