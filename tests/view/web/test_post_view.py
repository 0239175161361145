import http.client
import json
from urllib.parse import quote, urlsplit

import numpy as np
import pytest

from pipeline.base.errors import UserError
from pipeline.view.web.board import picture_info
from pipeline.view.web.server import WebView
from tests.view.samples import frame

TOKEN = "0123456789abcdef"
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def asked():
    return []


@pytest.fixture
def view(asked):
    def take_view(stream_id):
        asked.append(stream_id)
        if stream_id == "blind":
            raise UserError("blind has no view")
        return ["kept in zones.toml", "gate.png was replaced"]

    with WebView("127.0.0.1", 0, token=TOKEN, take_view=take_view) as running:
        for stream_id in ("door ü", "blind"):
            info = picture_info(frame(), None, "", fps=5.0, latency_ms=1.0)
            running.publish(stream_id, np.zeros((48, 64, 3), np.uint8), info)
        yield running


def post(view, stream_id, headers=WITH_TOKEN, method="POST"):
    place = urlsplit(view.url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    connection.request(method, f"/api/streams/{quote(stream_id)}/view", headers=headers)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, json.loads(text) if text.startswith("{") else text


def test_the_present_view_of_a_stream_is_taken(view, asked):
    answer = {"lasts": "kept in zones.toml", "notes": ["gate.png was replaced"]}
    assert post(view, "door ü") == (200, answer)
    assert asked == ["door ü"]


def test_what_cannot_be_done_is_said(view, asked):
    assert post(view, "blind") == (409, {"error": "blind has no view"})
    status, answer = post(view, "nobody")
    assert (status, answer["error"]) == (404, "there is no stream 'nobody'; see /api/streams")
    assert post(view, "blind", method="GET")[0] == 405
    assert asked == ["blind"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"Authorization": f"Bearer {TOKEN}0"}, 401), ({**WITH_TOKEN, "Origin": "http://evil"}, 403)],
)
def test_nobody_takes_a_view_without_the_token_or_from_elsewhere(view, asked, headers, status):
    assert post(view, "door ü", headers)[0] == status
    assert asked == []


def test_where_no_token_is_configured_no_view_can_be_taken(asked):
    with WebView("127.0.0.1", 0, take_view=asked.append) as view:
        assert post(view, "door ü")[0] == 403
    assert asked == []
