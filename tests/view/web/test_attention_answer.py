import json

import msgspec
import pytest

from pipeline.view.web.board import Attended, picture_info
from tests.view.samples import attention, frame, picture, prediction
from tests.view.web.client import get


def show(view, one, weights):
    info = picture_info(frame(), one, fps=None, latency_ms=None)
    view.publish("door", picture(), info, None if weights is None else Attended(one, weights))


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


def test_where_no_attention_is_sent_that_is_said(view):
    assert asked(view, "x=0&y=0", "nobody")[0] == 404
    show(view, msgspec.structs.replace(prediction(), attention=None), None)
    status, answer = asked(view, "x=0&y=0")
    assert status == 409
    assert "inference.attention=true" in answer["error"]
    show(view, prediction(depth=0), attention(depth=0))
    assert asked(view, "x=0&y=0") == (409, {"error": "the newest prediction of 'door' saw no past frame"})


@pytest.mark.parametrize(
    "query", ["", "x=0.5", "x=0.5&y=", "x=a&y=0", "x=1.1&y=0", "x=nan&y=0", "x=0&y=-inf"]
)
def test_a_place_is_two_shares(view, query):
    show(view, prediction(), attention())
    status, answer = asked(view, query)
    assert status == 400
    assert "as a share of the picture, from 0 to 1" in answer["error"]
