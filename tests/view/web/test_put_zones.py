import http.client
import json
from urllib.parse import urlsplit

import pytest

from pipeline.base.errors import UserError
from pipeline.base.watched import Line, Watch
from pipeline.view.web.put_zones import MOST_BYTES, read_token
from pipeline.view.web.server import WebView
from tests.view.web.client import get

TOKEN = "0123456789abcdef"
GATE = {"lines": {"gate": {"points": [[0.5, 0.0], [0.5, 1.0]]}}}
YARD = [[0.2, 0.9], [0.8, 0.9], [0.6, 0.5], [0.4, 0.5]]
GROUND = {
    "places": {"points": YARD, "metres": [[0, 0], [6, 0], [6, 12], [0, 12]]},
    "lengths": {"points": YARD, "distances_m": [6, 12, 6, 12, 13.4]},
    "a bar": {"segment": [[0.4, 0.6], [0.6, 0.6]], "length_m": 3},
}
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}


class Changes:
    """A sink that does what it is asked for."""

    def __init__(self):
        self.wanted, self.view, self.refuses = [], None, ""

    def __call__(self, watch):
        if self.refuses:
            raise UserError(self.refuses)
        self.wanted.append(watch)
        self.view.replace_watch(watch)
        return ["until the sink stops", "a note"]


@pytest.fixture
def changes():
    return Changes()


@pytest.fixture
def view(changes):
    with WebView("127.0.0.1", 0, token=TOKEN, replace_watch=changes) as running:
        changes.view = running
        yield running


def put(view, body, headers=WITH_TOKEN):
    place = urlsplit(view.url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("PUT", "/api/zones", body=data, headers=headers)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, json.loads(text) if text.startswith("{") else text


def zones(view):
    return json.loads(get(view, "/api/zones")[1])


def test_what_was_put_is_there_and_can_be_put_again(view, changes):
    assert put(view, GATE) == (200, {"lasts": "until the sink stops", "notes": ["a note"]})
    assert changes.wanted == [Watch(lines={"gate": Line(points=[(0.5, 0.0), (0.5, 1.0)])})]
    there = zones(view)
    assert list(there) == ["views", "ground", "zones", "lines", "rules"]
    assert there["lines"]["gate"]["points"] == [[0.5, 0.0], [0.5, 1.0]]
    assert put(view, there)[0] == 200
    assert changes.wanted[1] == changes.wanted[0]
    for key, value in GROUND.items():
        assert put(view, {"ground": {"yard": {"size": [640, 480], **value}}})[0] == 200
        assert put(view, zones(view)) == (200, {"lasts": "until the sink stops", "notes": ["a note"]}), key
        assert changes.wanted[-1] == changes.wanted[-2]
    assert put(view, {})[0] == 200
    assert zones(view)["lines"] == {}, "it replaces all"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"nonsense", "the request is not JSON"),
        (b"[" * 100_000, "the request is not JSON"),
        (b"[]", "the request must be an object"),
        ({"zone": {}}, "unknown key 'zone' (did you mean zones?)"),
        ({"zones": {"drive": {"points": [[0, 0], [1, 0], [1, 2]]}}}, "zones.drive.points[2][1]: must be a n"),
        ({"zones": {"a b": {}}}, "zones: names must be 1 to 64 letters"),
        ({"rules": {"a": {"kind": "crossed", "line": "gate"}}}, "rules.a: there is no line 'gate'"),
        ({"rules": {"a": {"kind": "enter"}}}, "rules.a.kind: 'enter' is not allowed"),
    ],
)
def test_what_is_wrong_is_said_as_for_a_file_and_nothing_changes(view, changes, body, words):
    status, answer = put(view, body)
    assert status == 400
    assert answer["error"].startswith(words)
    assert changes.wanted == []


def test_what_cannot_be_done_now_is_a_conflict(view, changes):
    changes.refuses = "views can't be changed while the pipeline runs"
    assert put(view, GATE) == (409, {"error": changes.refuses})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}0"},
        {"Authorization": "Bearer ключ".encode()},
    ],
)
def test_nobody_changes_anything_without_the_token(view, changes, headers):
    status, answer = put(view, GATE, headers)
    assert status == 401
    assert TOKEN not in json.dumps(answer)
    assert changes.wanted == []


def test_where_no_token_is_configured_nothing_can_be_changed(changes):
    with WebView("127.0.0.1", 0, replace_watch=changes) as view:
        for headers in ({}, WITH_TOKEN, {"Authorization": "Bearer "}):
            status, answer = put(view, GATE, headers)
            assert status == 403
            assert "sink.web_token_file" in answer["error"]
    assert changes.wanted == []


def test_pages_and_names_from_elsewhere_are_refused_even_with_the_token(view, changes):
    assert put(view, GATE, {**WITH_TOKEN, "Origin": "http://evil.example"})[0] == 403
    assert put(view, GATE, {**WITH_TOKEN, "Host": "evil.example"})[0] == 400
    assert changes.wanted == []
    assert put(view, GATE, {**WITH_TOKEN, "Origin": view.url})[0] == 200


def test_a_request_is_bounded(view, changes):
    assert put(view, b" " * (MOST_BYTES + 1))[0] == 413
    assert changes.wanted == []


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o644, 0o660])
def test_a_token_that_others_can_read_is_refused(tmp_path, bits):
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    assert read_token(str(file)) == TOKEN
    file.chmod(bits)
    with pytest.raises(UserError, match=f"can be read by others: run chmod 600 {file}"):
        read_token(str(file))


def test_a_token_that_is_short_or_not_there_is_refused(tmp_path):
    file = tmp_path / "token"
    with pytest.raises(UserError, match=r"sink.web_token_file: .*token can't be read"):
        read_token(str(file))
    file.touch(mode=0o600)
    file.write_text("short")
    with pytest.raises(UserError, match="has 5 characters, at least 16 are required: run openssl rand"):
        read_token(str(file))
