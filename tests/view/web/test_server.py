import json
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed

from pipeline.view.web.server import WebError, WebView
from tests.events.samples import event
from tests.view.samples import picture
from tests.view.web.client import Browser, get, info


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


def test_the_page_is_told_what_the_sink_can_do(view):
    with Browser(view) as browser:
        told = browser.state()
        assert (told["takes_token"], told["keeps_events"], told["camera_moved"]) == (False, False, {})
    with (
        WebView("127.0.0.1", 0, token="0123456789abcdef", kept=lambda *_: []) as other,
        Browser(other) as browser,
    ):
        other.publish("door", picture(), info(1))
        other.tell(event(0, "start", "door", kind="camera_moved"))
        told = browser.state(lambda state: state["camera_moved"])
        assert (told["takes_token"], told["keeps_events"]) == (True, True)
        assert told["camera_moved"] == {"door": event(0).time}


def test_pictures_from_before_the_start_are_there_and_later_ones_disturb_nobody():
    view = WebView("127.0.0.1", 0)
    view.publish("early", picture(), info(1))
    view.start()
    assert json.loads(get(view, "/healthz")[1])["streams"] == ["early"]
    view.close()
    view.publish("late", picture(), info(2))
    with pytest.raises(ConnectionRefusedError):
        get(view, "/healthz")
    view.close()


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
    with pytest.raises(WebError, match=f"127.0.0.1:{port}: address already in use: is another KVQ") as error:
        WebView("127.0.0.1", port).start()
    assert "\n" not in str(error.value)
