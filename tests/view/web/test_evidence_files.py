import http.client
import json
from urllib.parse import urlsplit

import pytest

from pipeline.view.web.server import WebView

ID = "0123456789abcdef"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "evidence" / ID).mkdir(parents=True)
    (tmp_path / "clip.mp4").write_text("secret")
    (tmp_path / "evidence" / "secret.txt").write_text("secret")
    (tmp_path / "evidence" / ID / "other.txt").write_text("secret")
    (tmp_path / "evidence" / ID / "clip.mp4").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "evidence" / ID / "snapshot.jpg").write_bytes(b"\xff\xd8picture")
    return tmp_path / "evidence"


@pytest.fixture
def view(root):
    with WebView("127.0.0.1", 0, evidence=lambda event_id: root / event_id) as running:
        yield running


def asked(view, path, **headers):
    place = urlsplit(view.url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def test_files_with_their_types(view):
    response, body = asked(view, f"/api/events/{ID}/evidence/snapshot.jpg")
    assert (response.status, body) == (200, b"\xff\xd8picture")
    assert response.getheader("content-type") == "image/jpeg"
    response, body = asked(view, f"/api/events/{ID}/evidence/clip.mp4")
    assert response.getheader("content-type") == "video/mp4"
    assert len(body) == 256 * 40


def test_a_part_of_a_clip(view):
    response, body = asked(view, f"/api/events/{ID}/evidence/clip.mp4", Range="bytes=512-515")
    assert (response.status, body) == (206, bytes([0, 1, 2, 3]))
    assert response.getheader("content-range") == "bytes 512-515/10240"
    assert asked(view, f"/api/events/{ID}/evidence/clip.mp4", Range="bytes=99999-")[0].status == 416


def test_which_files_are_there(view, root):
    path = f"/api/events/{ID}/evidence"
    there = {"kept": True, "complete": False, "files": ["snapshot.jpg", "clip.mp4"]}
    assert json.loads(asked(view, path)[1]) == there
    (root / ID / "event.json").write_text('{"clip": {"state": "whole"}}')
    there = {"kept": True, "complete": True, "files": ["snapshot.jpg", "clip.mp4", "event.json"]}
    assert json.loads(asked(view, path)[1]) == there
    nothing = {"kept": True, "complete": False, "files": []}
    assert json.loads(asked(view, f"/api/events/{'0' * 16}/evidence")[1]) == nothing


def test_a_clip_that_grows_is_not_there_yet(view, root):
    (root / ID / "event.json").write_text('{"clip": {"state": "growing"}}')
    path = f"/api/events/{ID}/evidence"
    there = {"kept": True, "complete": False, "files": ["snapshot.jpg", "event.json"]}
    assert json.loads(asked(view, path)[1]) == there
    assert asked(view, f"{path}/clip.mp4")[0].status == 404
    assert asked(view, f"{path}/snapshot.jpg")[0].status == 200


@pytest.mark.parametrize(
    "path",
    [
        f"{ID}/evidence/matches.jpg",
        f"{ID}/evidence/other.txt",
        f"{ID}/evidence/..%2fsecret.txt",
        f"{ID}/evidence/../secret.txt",
        f"{ID}/evidence/clip.mp4%00.jpg",
        f"..%2f{ID}/evidence/clip.mp4",
        f"%2e%2e/evidence/{ID}",
        "%2e%2e/evidence/clip.mp4",
        f"{ID.upper()}/evidence/clip.mp4",
        f"{ID}0/evidence/clip.mp4",
        f"{ID}%0a/evidence/clip.mp4",
        "live/evidence/clip.mp4",
    ],
)
def test_nothing_else_can_be_read(view, path):
    response, body = asked(view, f"/api/events/{path}")
    assert response.status == 404
    assert b"secret" not in body.replace(b"secret.txt", b"")
    assert "error" in json.loads(body)


def test_what_is_not_there_yet_is_said_in_words(view):
    _, body = asked(view, f"/api/events/{ID}/evidence/matches.jpg")
    assert "does not exist: not written yet" in json.loads(body)["error"]


def test_where_no_evidence_is_kept():
    with WebView("127.0.0.1", 0) as view:
        assert json.loads(asked(view, f"/api/events/{ID}/evidence")[1]) == {
            "kept": False,
            "complete": True,
            "files": [],
        }
        response, body = asked(view, f"/api/events/{ID}/evidence/clip.mp4")
        assert (response.status, json.loads(body)) == (404, {"error": "evidence is not stored"})


def test_pages_from_elsewhere_get_nothing(view):
    path = f"/api/events/{ID}/evidence/clip.mp4"
    assert asked(view, path, Host="evil.example")[0].status == 400
    assert asked(view, path, Origin="http://evil.example")[0].status == 403
    assert asked(view, path)[0].getheader("cross-origin-resource-policy") == "same-origin"
