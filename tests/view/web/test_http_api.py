import http.client
import itertools
import json
import threading
from urllib.parse import quote, urlsplit

import cv2
import numpy as np
import pytest

from pipeline.base.errors import UserError
from pipeline.base.watched import Line, Rule, Watch, Zone
from pipeline.events.archive import Archive, Wanted
from pipeline.events.store import Store
from pipeline.view.web.board import picture_info
from pipeline.view.web.http_api import MOST_EVENTS
from pipeline.view.web.server import WebView
from tests.events.samples import event
from tests.view.samples import frame, picture
from tests.view.web.client import Browser, get, info, kept_in, publish_until

WATCH = Watch(
    zones={"drive": Zone(points=[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)], streams=["door"])},
    lines={"gate": Line(points=[(0.5, 0.0), (0.5, 1.0)])},
    rules={"visitor": Rule(kind="entered", zone="drive")},
)
ODD = ["жест 手", "a?b&c=d", "50% #1", "q'\"<\\>", "x+y", "😀", "snapshot.jpg", "e\u0301"]


@pytest.fixture
def kept_view(tmp_path):
    path = tmp_path / "events.sqlite3"

    with (
        Store(path, 1e4, 100.0) as store,
        WebView("127.0.0.1", 0, watch=WATCH, kept=kept_in(path)) as view,
    ):
        view.store = store
        yield view


def asked(view, path):
    response, body = get(view, path)
    assert response.getheader("content-type") == "application/json"
    return response.status, json.loads(body)


def snapshot(view, stream_id, query=""):
    place = urlsplit(view.url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    connection.request("GET", f"/api/streams/{quote(stream_id, safe='')}/snapshot.jpg{query}")
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def test_streams(view):
    assert asked(view, "/api/streams") == (200, [])
    view.publish("yard", picture(), picture_info(frame(), None, fps=None, latency_ms=None))
    view.publish("door", picture(), info(1))
    view.end("yard")
    status, (door, yard) = asked(view, "/api/streams")
    assert status == 200
    assert door.pop("last_frame_age_s") >= 0
    assert door == {
        "id": "door",
        "state": "live",
        "fps": 30.0,
        "health": "ok",
        "things": None,
        "label": ["pan_left", 0.75],
    }
    assert (yard["id"], yard["state"], yard["label"]) == ("yard", "ended", None)


@pytest.mark.parametrize("stream_id", ODD)
def test_a_snapshot_of_a_stream_of_any_name_is_the_newest_picture(view, stream_id):
    for value in (10, 200):
        image = np.full((48, 64, 3), value, np.uint8)
        view.publish(stream_id, image, info(1))
        response, body = snapshot(view, stream_id)
        assert response.status == 200
        assert response.getheader("content-type") == "image/jpeg"
        decoded = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
        assert decoded.shape == image.shape
        assert np.abs(decoded.astype(int) - value).max() < 12


def test_a_plain_snapshot_is_what_the_camera_saw(view):
    drawn, seen = np.zeros((48, 64, 3), np.uint8), np.full((48, 64, 3), 200, np.uint8)
    view.publish("door", drawn, info(1), None, seen)
    means = [
        cv2.imdecode(np.frombuffer(snapshot(view, "door", query)[1], np.uint8), 1).mean().round()
        for query in ("", "?plain=true", "")
    ]
    assert means == [0, 200, 0]
    view.publish("door", drawn, info(2))
    response, body = snapshot(view, "door", "?plain=true")
    assert response.status == 404
    assert json.loads(body)["error"] == "the newest frame of 'door' is only available with its overlay"


@pytest.mark.parametrize("stream_id", ["door", "жест/手", "../../door", "%2e%2e"])
def test_no_snapshot_of_an_unknown_stream(view, stream_id):
    response, body = snapshot(view, stream_id)
    assert response.status == 404
    assert "there is no frame of stream" in json.loads(body)["error"]


def test_a_picture_that_cannot_be_encoded_is_an_error_and_the_next_one_is_there(view):
    view.publish("door", np.zeros((1, 70_000, 3), np.uint8), info(1))
    assert snapshot(view, "door")[0].status == 500
    view.publish("door", picture(), info(2))
    assert snapshot(view, "door")[0].status == 200


def test_events_newest_first_by_time_kind_and_stream(kept_view):
    events = [event(1), event(2, stream_id="жест 手"), event(3, kind="left"), event(4)]
    kept_view.store.write(events, [])
    ids = [one.id for one in events]

    def found(query):
        status, answer = asked(kept_view, f"/api/events{query}")
        assert status == 200
        return [ids.index(one["id"]) for one in answer]

    assert found("") == [3, 2, 1, 0]
    assert found("?kind=left") == [2]
    assert found("?stream=" + quote("жест 手")) == [1]
    assert found(f"?since={quote(events[2].time)}") == [3, 2]
    assert found(f"?since={events[2].time.replace('Z', '+00:00')}") == [3, 2], "a plus that nobody escaped"
    assert found("?stream=front&kind=entered") == [3, 0]
    assert found("?since=7d&kind=dark") == []


def test_the_answer_is_bounded(kept_view):
    kept_view.store.write([event(second) for second in range(MOST_EVENTS + 20)], [])
    _, answer = asked(kept_view, "/api/events")
    assert len(answer) == MOST_EVENTS
    assert answer[0]["id"] == event(MOST_EVENTS + 19).id


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("since=yesterday", 400, "since yesterday: expected an age (90s, 30m, 24h, 7d)"),
        ("since=", 400, "since : expected an age"),
        ("kind=entred", 400, "kind entred: there is no such kind; choose one of: moving, entered"),
        ("stream=nobody", 404, "there is no stream 'nobody'"),
        ("stream=nobody%0Anobody", 404, "there is no stream 'nobody\\nnobody'"),
    ],
)
def test_what_cannot_be_asked_is_one_readable_line(kept_view, query, status, words):
    assert get(kept_view, f"/api/events?{query}")[0].status == status
    error = asked(kept_view, f"/api/events?{query}")[1]["error"]
    assert error.startswith(words)
    assert "\n" not in error


def test_a_stream_without_events_is_known_by_its_picture(kept_view):
    kept_view.publish("door", picture(), info(1))
    assert asked(kept_view, "/api/events?stream=door") == (200, [])


def test_where_no_events_are_kept_or_they_cannot_be_read(view, tmp_path):
    assert asked(view, "/api/events") == (404, {"error": "events are not stored: store.file is empty"})
    (tmp_path / "broken").write_bytes(b"x" * 5000)

    def broken(*_):
        with Archive(tmp_path / "broken") as archive:
            return archive.newest(Wanted(), 1)

    with WebView("127.0.0.1", 0, kept=broken) as other:
        status, answer = asked(other, "/api/events")
    assert status == 503
    assert "is not an event store, or is damaged" in answer["error"]


def test_zones_lines_and_rules_as_configured(kept_view, view):
    status, answer = asked(kept_view, "/api/zones")
    assert status == 200
    assert answer.keys() == {"zones", "lines", "rules", "views", "ground"}
    assert answer["zones"]["drive"]["points"] == [[0, 0], [1, 0], [1, 1]]
    assert answer["zones"]["drive"]["streams"] == ["door"]
    assert answer["rules"]["visitor"]["kind"] == "entered"
    assert asked(view, "/api/zones")[1] == {key: {} for key in answer}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *itertools.product(
            ["PUT", "POST", "DELETE"], ["/api/streams", "/api/events", "/api/streams/door/snapshot.jpg"]
        ),
        ("POST", "/api/zones"),
        ("DELETE", "/api/zones"),
    ],
)
def test_nothing_else_can_be_changed(view, path, method):
    place = urlsplit(view.url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    connection.request(method, path, body=b"{}")
    response = connection.getresponse()
    assert response.status == 405
    allowed = {"GET", "HEAD", "PUT"} if path == "/api/zones" else {"GET", "HEAD"}
    assert set(response.getheader("allow").split(", ")) == allowed
    assert json.loads(response.read()) == {"error": "Method Not Allowed"}
    connection.close()


def test_an_unknown_path_is_an_error_as_json(view):
    assert asked(view, "/api/nothing") == (404, {"error": "Not Found"})


def test_ready_when_a_stream_has_predictions(view):
    assert asked(view, "/readyz") == (503, {"status": "not ready", "reason": "no frames have arrived yet"})
    view.publish("door", picture(), picture_info(frame(), None, fps=None, latency_ms=None))
    assert asked(view, "/readyz")[1]["reason"] == "frames arrive, but no predictions: door"
    view.publish("door", picture(), info(2))
    assert asked(view, "/readyz") == (200, {"status": "ready"})
    assert asked(view, "/healthz")[0] == 200


@pytest.mark.parametrize("path", ["/api/streams", "/api/events", "/api/zones", "/readyz", "/metrics"])
def test_foreign_names_and_pages_are_refused(view, path):
    assert get(view, path, "evil.example")[0].status == 400
    assert get(view, path, "localhost:1")[0].status in (200, 404, 503)


def test_a_store_that_does_not_answer_delays_neither_pictures_nor_metrics(tmp_path):
    asks, go_on = threading.Event(), threading.Event()

    def slow(*_):
        asks.set()
        go_on.wait(60)
        raise UserError("locked")

    with WebView("127.0.0.1", 0, max_fps=200, kept=slow) as view:
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(get(view, "/api/events")[0].status))
        waiting.start()
        assert asks.wait(10)
        with Browser(view) as browser:
            browser.say(watch=["door"])
            publish_until(view, browser)
        assert get(view, "/metrics")[0].status == 200
        assert snapshot(view, "door")[0].status == 200
        assert answers == []
        go_on.set()
        waiting.join()
    assert answers == [503]
