import json
from base64 import b64decode

import cv2
import msgspec
import numpy as np
import pytest

from pipeline.view.web.board import Attended, picture_info
from tests.view.samples import attention, frame, picture, prediction, thing
from tests.view.web.client import get


def size_of(url):
    """Width and height of a picture in a URL."""
    head, data = url.split(",")
    assert head == "data:image/jpeg;base64"
    image = cv2.imdecode(np.frombuffer(b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    return image.shape[1], image.shape[0]


def past(one):
    """Small pictures of its past frames, of which the oldest is gone."""
    return [None, picture(256, 144)][-one.depth :] if one.depth else []


def show(view, one, weights):
    info = picture_info(frame(), one, fps=None, latency_ms=None)
    attended = None if weights is None else Attended(one, weights, picture(1920, 1080), past(one))
    view.publish("door", picture(), info, attended)


def asked(view, query, stream="door"):
    response, body = get(view, f"/api/streams/{stream}/attention?{query}")
    return response.status, json.loads(body)


def test_where_a_place_looked_in_each_past_frame(view):
    show(view, prediction(), attention(dx=1, dy=0))
    status, answer = asked(view, "x=0.5&y=0.99")
    assert status == 200
    assert answer["seq"] == 7
    assert answer["cell"] == {"x": 0.5, "y": 0.9286, "width": 0.1429, "height": 0.1429}
    older, newer = answer["past"]
    assert [(one["seq"], one["age_ms"], one["share"]) for one in answer["past"]] == [
        (5, 200.0, 0.5),
        (6, 100.0, 0.5),
    ]
    assert older["most"]["x"] == pytest.approx(1.5 / 7, abs=1e-3), "two cells to the left"
    assert newer["most"]["x"] == pytest.approx(2.5 / 7, abs=1e-3)
    assert newer["most"]["y"] == answer["cell"]["y"]
    assert len(newer["weights"]) == len(newer["weights"][0]) == 7
    assert newer["weights"][6][2] == newer["most"]["weight"] == 0.5


def test_with_less_past_only_the_frames_that_were_seen(view):
    show(view, prediction(depth=1), attention(dx=1, dy=0, depth=1))
    (one,) = asked(view, "x=1&y=0")[1]["past"]
    assert (one["seq"], one["share"], one["most"]["x"]) == (6, 1.0, pytest.approx(5.5 / 7, abs=1e-3))


def test_a_picture_without_a_prediction_keeps_the_last_answer(view):
    show(view, prediction(), attention())
    show(view, None, None)
    assert asked(view, "x=0&y=0")[0] == 200


def test_what_moves_at_the_place_and_where_it_was(view):
    boxes = [(0.1, 0.1, 0.8, 0.8), (0.4, 0.4, 0.2, 0.2)]
    was = [[(x - 0.1, y, width, height), (x, y, width, height)] for x, y, width, height in boxes]
    large, small = (
        msgspec.structs.replace(thing(box, 0.0), was=past) for box, past in zip(boxes, was, strict=True)
    )
    hidden = thing((0.5, 0.5, 0.02, 0.02), 0.0)
    show(view, msgspec.structs.replace(prediction(), things=[large, hidden, small]), attention())
    _, answer = asked(view, "x=0.51&y=0.51")
    assert answer["thing"]["box"] == list(boxes[1]), "the smallest that is in sight"
    assert len(answer["thing"]["outline"]) == 4
    assert [one["thing"]["box"] for one in answer["past"]] == [list(box) for box in was[1]]
    assert asked(view, "x=0.2&y=0.51")[1]["thing"]["box"] == list(boxes[0])
    _, answer = asked(view, "x=0.95&y=0.5")
    assert [answer["thing"], *(one["thing"] for one in answer["past"])] == [None] * 3


def test_the_pictures_come_where_they_are_asked_for(view):
    show(view, prediction(), attention())
    _, answer = asked(view, "x=0.5&y=0.5")
    assert "picture" not in answer
    assert "picture" not in answer["past"][0]
    _, answer = asked(view, "x=0.5&y=0.5&pictures=true")
    older, newer = (one["picture"] for one in answer["past"])
    assert older is None, "it is gone"
    assert [size_of(one) for one in (answer["picture"], newer)] == [(960, 540), (256, 144)]


def test_where_no_attention_is_sent_that_is_said(view):
    assert asked(view, "x=0&y=0", "nobody")[0] == 404
    show(view, msgspec.structs.replace(prediction(), attention=None), None)
    status, answer = asked(view, "x=0&y=0")
    assert status == 409
    assert "inference.attention=true" in answer["error"]
    show(view, prediction(depth=0), attention(depth=0))
    assert asked(view, "x=0&y=0") == (409, {"error": "the newest prediction of 'door' has no past frames"})


@pytest.mark.parametrize(
    "query", ["", "x=0.5", "x=0.5&y=", "x=a&y=0", "x=1.1&y=0", "x=nan&y=0", "x=0&y=-inf"]
)
def test_a_place_is_two_shares(view, query):
    show(view, prediction(), attention())
    status, answer = asked(view, query)
    assert status == 400
    assert "must be a fraction of the image, from 0 to 1" in answer["error"]
