import json
import time

import cv2
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from pipeline.view.web.server import WebView
from tests.view.samples import picture
from tests.view.web.client import Browser, get, info, publish_until

TOO_WIDE = np.zeros((1, 70_000, 3), np.uint8)
"""JPEG has 16 bits for a width."""


def test_the_end_of_a_stream_is_told_once_and_taken_back_by_a_picture(view):
    view.publish("door", picture(), info(1))
    with Browser(view) as browser:
        browser.lists(["door"], [])
        for _ in range(3):
            view.end("door")
        browser.lists(["door"], ["door"])
        view.publish("door", picture(), info(2))
        browser.lists(["door"], [])


def test_a_picture_arrives_with_its_figures(view):
    image = np.full((48, 64, 3), (30, 60, 200), np.uint8)
    view.publish("door", image, info(5))
    with Browser(view) as browser:
        browser.lists(["door"], [])
        browser.say(watch=["door"])
        header, jpeg = browser.picture()
    assert header["stream_id"] == "door"
    assert header["seq"] == 5
    assert header["top"][0] == ["pan_left", 0.75]
    assert (header["depth"], header["past"], header["truth"]) == (2, 2, "static")
    assert (header["fps"], header["latency_ms"]) == (30.0, 12.5)
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(decoded.astype(int) - image).max() < 12


def test_new_streams_are_announced(view):
    with Browser(view) as browser:
        browser.lists([], [])
        view.publish("door", picture(), info(1))
        browser.lists(["door"], [])


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
        browser.lists(["door", "yard"], [])
        browser.hears_nothing()
        browser.say(watch=["yard"])
        assert browser.picture()[0]["stream_id"] == "yard"
        view.publish("door", picture(), info(2))
        browser.hears_nothing()
        browser.say(watch=["door"])
        header, _ = browser.picture()
        assert (header["stream_id"], header["seq"]) == ("door", 2)


def test_a_picture_that_comes_is_not_nothing(view):
    """Or the tests beside this one could not fail."""
    view.publish("door", picture(), info(1))
    with Browser(view) as browser:
        browser.say(watch=["door"])
        with pytest.raises(AssertionError, match="a picture came"):
            browser.hears_nothing()


def test_two_browsers_are_served_alike(view):
    with Browser(view) as one, Browser(view) as two:
        for browser in (one, two):
            browser.say(watch=["door"])
        publish_until(view, one)
        assert two.picture()[0]["stream_id"] == "door"


def test_nobody_watching_nothing_is_encoded(view):
    view.publish("door", TOO_WIDE, info(1))
    with Browser(view) as browser:
        browser.lists(["door"], [])
        browser.hears_nothing()
    assert view.pop_events() == []


def test_a_picture_that_jpeg_cannot_hold_is_left_out_and_reported_once(view):
    with Browser(view) as browser:
        browser.say(watch=["door", "wide"])
        for seq in range(1, 4):
            view.publish("wide", TOO_WIDE, info(seq))
            view.publish("door", picture(), info(seq))
            header, _ = browser.picture()
            assert (header["stream_id"], header["seq"]) == ("door", seq)
            browser.say(drawn="door")
        view.publish("wide", picture(), info(4))
        assert browser.picture()[0]["stream_id"] == "wide"
    assert get(view, "/healthz")[0].status == 200
    (event,) = view.pop_events()
    assert event.startswith("web page: frames of wide are skipped: ")
    assert view.pop_events() == []


def test_a_page_that_is_opened_again_starts_with_the_newest_picture(view):
    for seq in (1, 2):
        view.publish("door", picture(), info(seq))
        for _ in range(2):  # encoded for the first page, kept for the second
            with Browser(view) as browser:
                browser.say(watch=["door"])
                assert browser.picture()[0]["seq"] == seq


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


@pytest.mark.parametrize("nonsense", ["nonsense", "[]", '{"watch": 5}', '{"what": 1}', b"binary"])
def test_nonsense_closes_the_socket_and_nothing_else(view, nonsense):
    with Browser(view) as browser:
        browser.hear()
        browser.socket.send(nonsense)
        with pytest.raises(ConnectionClosed) as closed:
            browser.state(lambda state: False)
        assert closed.value.rcvd.code == 1003
    assert get(view, "/healthz")[0].status == 200


def test_large_messages_are_refused(view):
    with Browser(view) as browser:
        browser.hear()
        browser.socket.send(json.dumps({"watch": ["x" * 100_000]}))
        with pytest.raises(ConnectionClosed) as closed:
            browser.state(lambda state: False)
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
