from pipeline.view.web.board import Board, picture_info
from pipeline.view.web.standing import not_ready, standings
from tests.view.samples import frame, picture, prediction
from tests.view.web.client import info

LATER_NS = 6 * 10**9


def shown_ns(board):
    """When the last picture was put up; a slow machine must not make streams silent."""
    pictures = [board.newest(name) for name in board.stream_ids]
    return max((picture.shown_ns for picture in pictures), default=0)


def without_prediction(trouble=None):
    return picture_info(frame(), None, trouble, fps=30.0, latency_ms=None)


def test_a_live_stream_tells_what_was_last_predicted():
    board = Board()
    board.publish("door", picture(), info(1))
    board.publish("door", picture(), without_prediction())
    (one,) = standings(board, shown_ns(board))
    assert (one.id, one.state, one.fps, one.health) == ("door", "live", 30.0, "ok")
    assert one.label == ("pan_left", 0.75)
    assert one.last_frame_age_s == 0
    assert not_ready(board, shown_ns(board)) is None


def test_of_a_silent_stream_nothing_is_told_but_its_age():
    board = Board()
    board.publish("door", picture(), info(1))
    (one,) = standings(board, shown_ns(board) + LATER_NS)
    assert (one.state, one.fps, one.health, one.things, one.label) == ("silent", None, None, None, None)
    assert one.last_frame_age_s > 5
    assert not_ready(board, shown_ns(board) + LATER_NS) == (
        "no stream has a new frame; the last one was from door, 6 s ago"
    )


def test_a_bad_picture_tells_its_fault_and_no_label():
    board = Board()
    board.publish("door", picture(), info(1))
    board.publish("door", picture(), without_prediction("camera covered for 12 s"))
    (one,) = standings(board, shown_ns(board))
    assert (one.health, one.things, one.label) == ("camera covered for 12 s", None, None)
    assert not_ready(board, shown_ns(board)) is None, "inference has judged it"


def test_why_it_is_not_ready():
    board = Board()
    assert not_ready(board, shown_ns(board)) == "no frames have arrived yet"
    board.publish("door", picture(), without_prediction())
    assert not_ready(board, shown_ns(board)) == "frames arrive, but no predictions: door"
    board.end("door")
    assert not_ready(board, shown_ns(board)) == "all streams have ended"
    board.publish("yard", picture(), picture_info(frame(), prediction(), fps=None, latency_ms=None))
    assert not_ready(board, shown_ns(board)) is None


def test_predictions_that_stopped_long_ago_do_not_count():
    board = Board()
    board.publish("door", picture(), info(1))
    shown = board.newest("door")
    assert shown is not None
    board.publish("door", picture(), without_prediction())
    again = board.newest("door")
    assert again is not None
    assert again.predicted == shown.predicted
    old = again._replace(shown_ns=again.shown_ns + LATER_NS)
    board._pictures["door"] = old
    assert not_ready(board, old.shown_ns) == "frames arrive, but no predictions: door"
