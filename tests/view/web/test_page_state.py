from pipeline.base.watched import Watch
from pipeline.scene.crossing_counts import CrossingCounts
from pipeline.view.web.board import Board
from pipeline.view.web.page_state import PageState
from pipeline.view.web.troubles import SourceState, Trouble
from pipeline.view.web.zones_and_lines import ZonesAndLines
from tests.events.samples import event
from tests.view.samples import picture
from tests.view.web.client import info


def page():
    board = Board()
    return board, PageState(board, ZonesAndLines(Watch(), CrossingCounts()))


def test_it_is_live_only_with_a_live_picture_and_no_trouble():
    board, state = page()
    assert state.now()["state"] == "waiting"
    board.publish("front", picture(), info(1))
    assert state.now()["state"] == "live"
    state.take_workers([Trouble(words="inference down", since_ns=5_000_000, hides_predictions=True)], {})
    assert state.now()["state"] == "trouble"
    assert state.now()["troubles"] == [
        {"words": "inference down", "since_ms": 5, "next": "", "next_ms": None}
    ]
    state.take_workers([], {})
    board.end("front")
    assert state.now()["state"] == "ended"


def test_a_silent_stream_is_trouble():
    board, state = page()
    board.publish("front", picture(), info(1))
    old = board.newest("front")
    board._pictures["front"] = old._replace(shown_ns=old.shown_ns - 60 * 10**9)
    told = state.now()
    assert (told["state"], told["silent"]) == ("trouble", ["front"])


def test_streams_that_ended_before_the_sink_began_are_known():
    board, state = page()
    state.take_workers([], {"clip": SourceState(has_ended=True), "front": SourceState()})
    board.publish("front", picture(), info(1))
    told = state.now()
    assert (told["streams"], told["ended"], told["state"]) == (["clip", "front"], ["clip"], "live")
    board.publish("clip", picture(), info(1))
    assert state.now()["ended"] == [], "a picture takes it back"


def test_many_troubles_are_cut_and_counted():
    _, state = page()
    state.take_workers([Trouble(words=f"link {number}") for number in range(50)], {})
    told = state.now()
    assert len(told["troubles"]) + told["more"] == 50
    assert len(told["troubles"]) == 20


def test_a_camera_that_looks_elsewhere_is_told_until_it_looks_back():
    board, state = page()
    state.take(event(0, "start", "front", kind="camera_moved"))
    assert state.now()["camera_moved"] == {}, "nobody knows of that stream yet"
    board.publish("front", picture(), info(1))
    since = state.now()["camera_moved"]
    assert since == {"front": event(0).time}
    state.take(event(1, "end", "front"))
    assert state.now()["camera_moved"] == since, "another kind has ended"
    state.take(event(2, "end", "front", kind="camera_moved"))
    assert state.now()["camera_moved"] == {}


def test_what_the_sink_can_do_is_told():
    board, watched = Board(), ZonesAndLines(Watch(), CrossingCounts())
    told = PageState(board, watched, takes_token=True).now()
    assert (told["takes_token"], told["keeps_events"]) == (True, False)
    told = PageState(board, watched, keeps_events=True).now()
    assert (told["takes_token"], told["keeps_events"]) == (False, True)
