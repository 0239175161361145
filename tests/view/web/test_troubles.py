from types import MappingProxyType

from pipeline.base.clock import now_ns
from pipeline.view.web.board import Board, picture_info
from pipeline.view.web.troubles import SourceState, Trouble, all_troubles
from tests.view.samples import frame, picture
from tests.view.web.client import info

SECOND = 10**9
CAPTURE = Trouble(words="capture down", hides_pictures=True)
INFERENCE = Trouble(words="inference down", hides_predictions=True)


def unpredicted(trouble=None):
    return picture_info(frame(), None, trouble, fps=None, latency_ms=None)


def shown(*infos, every_s=0.04, stream_id="front"):
    """A board with pictures that were put up one after the other until now."""
    board = Board()
    for one in infos:
        board.publish(stream_id, picture(64, 48), one)
    newest = board.newest(stream_id)
    begin_ns = newest.shown_ns - round((len(infos) - 1) * every_s * SECOND)
    predicted = newest.predicted
    if predicted:
        at = max(number for number, one in enumerate(infos) if one["depth"] is not None)
        predicted = predicted._replace(shown_ns=begin_ns + round(at * every_s * SECOND))
    board._pictures[stream_id] = newest._replace(
        began_ns=begin_ns, predicted=predicted, usual_ns=round(every_s * SECOND)
    )
    return board, newest.shown_ns


def words(board, at_ns, workers=(), sources=MappingProxyType({})):
    return [one.words for one in all_troubles(board, workers, sources, at_ns)]


def test_nothing_is_wrong_while_predicted_pictures_come():
    board, last_ns = shown(info(1), info(2))
    assert words(board, last_ns + SECOND) == []
    assert words(Board(), now_ns()) == []


def test_a_camera_without_pictures_since_when_and_the_next_try():
    board, last_ns = shown(info(1))
    retry_ns = last_ns + 7 * SECOND
    sources = {"front": SourceState(retry_ns=retry_ns)}
    (trouble,) = all_troubles(board, [], sources, last_ns + 3 * SECOND)
    assert trouble.words == "camera front: no image"
    assert trouble.since_ns == last_ns
    assert (trouble.next, trouble.next_ns) == ("retrying", retry_ns)
    (trouble,) = all_troubles(board, [], {}, last_ns + 3 * SECOND)
    assert (trouble.next, trouble.next_ns) == ("", None)


def test_a_slow_camera_is_not_a_broken_one():
    board, last_ns = shown(*map(info, range(6)), every_s=5)
    assert words(board, last_ns + 14 * SECOND) == []
    assert words(board, last_ns + 16 * SECOND) == ["camera front: no image"]


def test_the_usual_interval_is_learned_and_one_outage_does_not_change_it():
    board = Board()
    for _ in range(8):
        board.publish("front", picture(64, 48), info(1))
    board._intervals["front"][-1] = 60 * SECOND
    board.publish("front", picture(64, 48), info(1))
    assert board.newest("front").usual_ns < SECOND


def test_a_camera_that_never_came_and_one_that_failed():
    sources = {"back": SourceState(retry_ns=5), "yard": SourceState(has_ended=True, error="no such file")}
    assert words(Board(), 1, sources=sources) == [
        "camera back: no image yet",
        "camera yard failed: no such file",
    ]


def test_pictures_without_predictions():
    board, last_ns = shown(info(1), *[unpredicted()] * 60)
    (trouble,) = all_troubles(board, [], {}, last_ns)
    assert trouble.words == "front: no predictions"
    assert trouble.since_ns == last_ns - round(60 * 0.04 * SECOND)
    board, last_ns = shown(info(1), *[unpredicted()] * 20)
    assert words(board, last_ns) == [], "one is late"
    board, last_ns = shown(*[unpredicted()] * 60)
    assert words(board, last_ns) == ["front: no predictions"], "there never was one"


def test_a_bad_picture_is_named_and_needs_no_prediction():
    board, last_ns = shown(info(1), *[unpredicted("camera covered for 12 s")] * 60)
    assert words(board, last_ns) == ["camera front: camera covered for 12 s"]


def test_what_a_worker_explains_is_not_said_of_each_stream():
    board, last_ns = shown(info(1))
    assert words(board, last_ns + 9 * SECOND, [CAPTURE]) == ["capture down"]
    assert words(board, last_ns + 9 * SECOND, [INFERENCE]) == [
        "inference down",
        "camera front: no image",
    ]
    board, last_ns = shown(info(1), *[unpredicted()] * 60)
    assert words(board, last_ns, [INFERENCE]) == ["inference down"]


def test_a_capture_worker_explains_no_camera_of_another_one():
    board, last_ns = shown(info(1))
    elsewhere = Trouble(words="no answer from capture on pi", hides_pictures=True, streams=["back"])
    sources = {"back": SourceState(retry_ns=5), "yard": SourceState(retry_ns=5)}
    assert words(board, last_ns + 9 * SECOND, [elsewhere], sources) == [
        "no answer from capture on pi",
        "camera front: no image",
        "camera yard: no image yet",
    ]


def test_a_stream_that_no_inference_worker_takes_is_named_with_the_likely_cause():
    board, last_ns = shown(*[unpredicted()] * 60)
    sources = {"front": SourceState(is_left_out=True), "back": SourceState()}
    assert words(board, last_ns, [INFERENCE], sources) == [
        "inference down",
        "front: no inference worker has taken it: check their [[streams]], or assign it",
    ]


def test_of_streams_that_have_ended_nothing_is_wrong():
    board, last_ns = shown(info(1))
    board.end("front")
    assert words(board, last_ns + 9 * SECOND) == []
