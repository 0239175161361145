import http.client
import json
import socket
import struct
import time
from contextlib import ExitStack
from functools import partial
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from pipeline.view.web import WebError, WebView, picture_info
from tests.view.samples import frame, picture, prediction


@pytest.fixture
def view():
    with WebView("127.0.0.1", 0, max_fps=200) as running:
        yield running


def get(view, path, host=None):
    place = urlsplit(view.url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=10)
    headers = {} if host is None else {"Host": host}
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response, body


class Browser:
    """Speaks as the page does."""

    def __init__(self, view, origin=None):
        self._stack = ExitStack()
        url = view.url.replace("http", "ws") + "/live"
        self.socket = self._stack.enter_context(connect(url, origin=origin or view.url))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()

    def say(self, **request):
        self.socket.send(json.dumps(request))

    def hear(self, timeout=10):
        """The next message: the list of streams, or header and JPEG of a picture."""
        message = self.socket.recv(timeout)
        if isinstance(message, str):
            return json.loads(message)
        (length,) = struct.unpack(">I", message[:4])
        return json.loads(message[4 : 4 + length]), message[4 + length :]

    def picture(self):
        while isinstance(message := self.hear(), dict):
            pass
        return message

    def hears_nothing(self):
        with pytest.raises(TimeoutError):
            self.hear(timeout=0.2)


def info(seq):
    return picture_info(frame(seq=seq, truth="static"), prediction(), fps=30.0, latency_ms=12.5)


def publish_until(view, browser, stream_id="door"):
    """Publishes until the browser has a picture, as a sink does."""
    for seq in range(1000):
        view.publish(stream_id, picture(), info(seq))
        try:
            message = browser.hear(timeout=0.01)
        except TimeoutError:
            continue
        if not isinstance(message, dict):
            return message
    raise AssertionError("no picture came")


def test_files_of_the_page(view):
    for path, kind in (("/", "text/html"), ("/app.js", "text/javascript"), ("/style.css", "text/css")):
        response, body = get(view, path)
        assert response.status == 200
        assert response.getheader("content-type").startswith(kind)
        assert "default-src 'self'" in response.getheader("content-security-policy")
        assert "//cdn" not in body
        assert "https://" not in body
    assert get(view, "/board.py")[0].status == 404
    assert get(view, "/../board.py")[0].status == 404


def test_health_names_the_streams(view):
    assert json.loads(get(view, "/healthz")[1]) == {"status": "ok", "streams": []}
    view.publish("yard", picture(), info(1))
    view.publish("door", picture(), info(1))
    assert json.loads(get(view, "/healthz")[1]) == {"status": "ok", "streams": ["door", "yard"]}


def test_the_end_of_a_stream_is_told_once_and_taken_back_by_a_picture(view):
    view.publish("door", picture(), info(1))
    with Browser(view) as browser:
        assert browser.hear() == {"streams": ["door"], "ended": []}
        for _ in range(3):
            view.end("door")
        assert browser.hear() == {"streams": ["door"], "ended": ["door"]}
        view.publish("door", picture(), info(2))
        assert browser.hear() == {"streams": ["door"], "ended": []}


def test_a_picture_arrives_with_its_figures(view):
    image = np.full((48, 64, 3), (30, 60, 200), np.uint8)
    view.publish("door", image, info(5))
    with Browser(view) as browser:
        assert browser.hear() == {"streams": ["door"], "ended": []}
        browser.say(watch=["door"])
        header, jpeg = browser.picture()
    assert header["stream_id"] == "door"
    assert header["seq"] == 5
    assert header["top"][0] == ["pan_left", 0.75]
    assert (header["depth"], header["past"], header["truth"]) == (2, 2, "static")
    assert (header["fps"], header["latency_ms"]) == (30.0, 12.5)
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(decoded.astype(int) - image).max() < 12


def test_frame_without_prediction():
    told = picture_info(frame(), None, fps=None, latency_ms=None)
    assert told["top"] is None
    assert told["depth"] is None


def test_new_streams_are_announced(view):
    with Browser(view) as browser:
        assert browser.hear() == {"streams": [], "ended": []}
        view.publish("door", picture(), info(1))
        assert browser.hear() == {"streams": ["door"], "ended": []}


def test_slow_browser_gets_the_newest_picture_and_no_backlog(view):
    with Browser(view) as browser:
        browser.say(watch=["door"])
        publish_until(view, browser)
        for seq in range(5000, 5050):
            view.publish("door", picture(), info(seq))
        browser.hears_nothing()
        browser.say(drawn="door")
        assert browser.picture()[0]["seq"] == 5049
        browser.say(drawn="door")
        browser.hears_nothing()


def test_a_browser_gets_only_what_it_watches(view):
    for stream_id in ("door", "yard"):
        view.publish(stream_id, picture(), info(1))
    with Browser(view) as browser:
        assert browser.hear() == {"streams": ["door", "yard"], "ended": []}
        browser.hears_nothing()
        browser.say(watch=["yard"])
        assert browser.picture()[0]["stream_id"] == "yard"
        view.publish("door", picture(), info(2))
        browser.hears_nothing()
        browser.say(watch=["door"])
        header, _ = browser.picture()
        assert (header["stream_id"], header["seq"]) == ("door", 2)


def test_two_browsers_are_served_alike(view):
    with Browser(view) as one, Browser(view) as two:
        for browser in (one, two):
            browser.say(watch=["door"])
        publish_until(view, one)
        assert two.picture()[0]["stream_id"] == "door"


def test_nobody_watching_nothing_is_encoded(view):
    view.publish("door", picture(), {"cannot be encoded": object()})
    time.sleep(0.1)
    assert get(view, "/healthz")[0].status == 200
    with Browser(view) as browser:
        browser.say(watch=["door"])
        deadline = time.monotonic() + 10
        while get(view, "/healthz")[0].status == 200 and time.monotonic() < deadline:
            time.sleep(0.01)
    response, body = get(view, "/healthz")
    assert response.status == 503
    assert json.loads(body)["status"] == "failed"


def test_rate_is_bounded():
    with WebView("127.0.0.1", 0, max_fps=5) as view, Browser(view) as browser:
        browser.say(watch=["door"])
        started, count, seq = time.monotonic(), 0, 0
        while time.monotonic() - started < 1:
            view.publish("door", picture(64, 48), info(seq := seq + 1))
            try:
                message = browser.hear(timeout=0.005)
            except TimeoutError:
                continue
            if not isinstance(message, dict):
                count += 1
                browser.say(drawn="door")
        elapsed = time.monotonic() - started
    assert 1 <= count <= elapsed * 5 + 2


def test_publishing_without_a_server_does_nothing():
    view = WebView("127.0.0.1", 0)
    view.publish("door", picture(), info(1))
    view.start()
    view.close()
    view.publish("door", picture(), info(2))
    view.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (None, 200),
        ("localhost", 200),
        ("LOCALHOST:9000", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8642", 200),
        ("evil.example", 403),
        ("evil.example:8642", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("192.168.1.7:8642", 403),
        ("", 403),
        ("[::1", 403),
        ("localhost@evil.example", 403),
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
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("nonsense", ["nonsense", "[]", '{"watch": 5}', '{"what": 1}', b"binary"])
def test_nonsense_closes_the_socket_and_nothing_else(view, nonsense):
    with Browser(view) as browser:
        browser.hear()
        browser.socket.send(nonsense)
        with pytest.raises(ConnectionClosed) as closed:
            browser.hear()
        assert closed.value.rcvd.code == 1003
    assert get(view, "/healthz")[0].status == 200


def test_large_messages_are_refused(view):
    with Browser(view) as browser:
        browser.hear()
        browser.socket.send(json.dumps({"watch": ["x" * 100_000]}))
        with pytest.raises(ConnectionClosed) as closed:
            browser.hear()
        assert closed.value.rcvd.code == 1009


def test_number_of_pages_is_bounded(view):
    browsers = [Browser(view) for _ in range(32)]
    for browser in browsers:
        browser.hear()
    with pytest.raises(InvalidStatus):
        Browser(view)
    browsers.pop().__exit__()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            browsers.append(Browser(view))
            break
        except InvalidStatus:
            time.sleep(0.02)
    assert len(browsers) == 32
    for browser in browsers:
        browser.__exit__()


def test_closing_tells_the_browsers_and_frees_the_port(view):
    with Browser(view) as browser:
        browser.hear()
        view.close()
        with pytest.raises(ConnectionClosed):
            browser.hear()
    with WebView("127.0.0.1", urlsplit(view.url).port) as again:
        assert get(again, "/healthz")[0].status == 200


def test_port_in_use_is_one_readable_line(view):
    port = urlsplit(view.url).port
    with pytest.raises(WebError, match=f"127.0.0.1:{port}: address already in use; choose another") as error:
        WebView("127.0.0.1", port).start()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "example.com", ""])
def test_other_machines_are_not_served(host):
    with pytest.raises(WebError, match="the page binds to loopback only in this version"):
        WebView(host, 0).start()


def test_localhost_by_name():
    with WebView("localhost", 0) as view:
        assert view.url.startswith("http://localhost:")
        assert get(view, "/healthz")[0].status == 200
