import msgspec

from pipeline.view.web.board import Board, picture_info
from tests.view.samples import CAMERA, frame, picture, prediction, thing


def test_frame_without_prediction():
    told = picture_info(frame(), None, fps=None, latency_ms=None)
    assert told["top"] is None
    assert told["depth"] is None


def test_what_is_wrong_with_the_picture_takes_the_place_of_what_moves():
    told = picture_info(frame(), None, "camera covered for 12 s", fps=None, latency_ms=None)
    assert told["moving"] == "camera covered for 12 s"


def test_what_moves_is_told_in_words():
    things = [thing((0.1, 0.1, 0.2, 0.2), 180.0, 0.05), thing((0.5, 0.1, 0.2, 0.2), 0.0, 0.12)]
    moving = msgspec.structs.replace(prediction(), things=things, camera=CAMERA)
    told = picture_info(frame(), moving, fps=None, latency_ms=None)
    assert told["moving"] == "2 things moving: right 0.12 widths/s, left 0.05"
    assert told["camera"] == "■ camera still"
    first = msgspec.structs.replace(prediction(depth=0), things=things, camera=CAMERA)
    for without in (prediction(), first, None):
        told = picture_info(frame(), without, fps=None, latency_ms=None)
        assert told["moving"] is told["camera"] is None


def test_the_truth_is_shown_beside_a_prediction_that_is_scored():
    seen, scored = frame(truth="static"), prediction()
    not_scored = msgspec.structs.replace(scored, scored=False)
    shown = [
        picture_info(seen, one, fps=None, latency_ms=None)["truth"] for one in (scored, not_scored, None)
    ]
    assert shown == ["static", None, None]


def test_only_the_last_streams_that_ended_keep_their_picture():
    board = Board()
    board.publish("live", picture(), {})
    for number in range(40):
        board.publish(f"clip{number}", picture(), {})
        for earlier in range(number + 1):  # the sink repeats ends
            board.end(f"clip{earlier}")
    assert board.ended == sorted(f"clip{number}" for number in range(24, 40))
    assert board.stream_ids == [*board.ended, "live"]
    assert board.newest("clip0") is None


def test_a_stream_that_comes_again_has_another_version():
    board = Board()
    board.publish("clip", picture(), {})
    first = board.newest("clip")
    board.end("clip")
    for name in map(str, range(20)):
        board.publish(name, picture(), {})
        board.end(name)
    assert board.newest("clip") is None
    board.publish("clip", picture(), {})
    again = board.newest("clip")
    assert first is not None
    assert again is not None
    assert again.version != first.version
    assert "clip" not in board.ended
