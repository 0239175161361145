import pytest

from pipeline.base.event import Event, Moment
from pipeline.scene.view_events import ViewEvents
from tests.base.test_sight import sight

S = 10**9


def told(offsets: list[complex | None], fps: int = 25) -> list[Event]:
    """Events of a view that is at these offsets frame by frame; None: it is lost."""
    events, views = [], ViewEvents("door")
    for n, offset in enumerate(offsets):
        now = Moment(n * S // fps, 1_790_000_000 * S + n * S // fps)
        events += views.update(sight(offset=offset or 0j, found=offset is not None), now)
    return events


def test_a_camera_that_was_turned_has_moved_since_it_was_turned() -> None:
    start, end = told([0j] * 50 + [0.2 + 0.01j] * 250 + [0j] * 100)
    assert (start.kind, start.phase, start.stream_id) == ("camera_moved", "start", "door")
    assert start.time.endswith("22.000Z")
    assert start.why == {"view": "home", "found": True, "shift": [0.2, 0.01], "scale": 1.0, "turn_deg": 0.0}
    assert (end.phase, end.start, end.for_s) == ("end", start.id, 10.0)


def test_a_view_that_is_lost_has_moved_too() -> None:
    (start,) = told([0j] * 50 + [None] * 100)
    assert start.why == {"view": "home", "found": False}


def test_shake_a_short_look_away_and_a_small_shift_are_no_event() -> None:
    shaking = [0.06 * (-1) ** n + 0j if n % 25 < 12 else 0j for n in range(250)]
    assert told(shaking) == []
    assert told([0j] * 50 + [0.3 + 0j] * 60 + [0j] * 200) == []
    assert told([0.03 + 0j] * 400) == []


def test_what_has_begun_is_ended_with_the_stream() -> None:
    views = ViewEvents("door")
    for n in range(150):
        views.update(sight(found=False), Moment(n * S // 25, n * S // 25))
    (end,) = views.end(Moment(6 * S, 6 * S), "the stream has ended")
    assert (end.phase, end.why) == ("end", {"ended": "the stream has ended"})
    assert views.end(Moment(7 * S, 7 * S), "again") == []


def test_a_view_that_is_taken_ends_what_the_former_one_has_begun() -> None:
    views, told = ViewEvents("door"), []
    for n in range(300):
        now, taken_ns = Moment(n * S // 25, n * S // 25), 200 * S // 25 if n > 200 else 0
        where = sight(offset=0.2 + 0j if n <= 200 else 0j, taken_ns=taken_ns)
        told += views.update(where, now)
    start, end = told
    assert (start.phase, end.phase, end.start) == ("start", "end", start.id)
    assert end.why == {"ended": "a new view was taken"}
    assert end.for_s == pytest.approx(201 / 25)
    read_again = views.update(sight(offset=0j), Moment(12 * S, 12 * S))
    assert read_again == []


def test_a_view_that_was_taken_is_the_same_when_it_is_read_from_its_picture() -> None:
    views = ViewEvents("door")
    for n in range(150):
        views.update(sight(offset=0.2 + 0j, taken_ns=7), Moment(n * S // 25, n * S // 25))
    assert views.update(sight(offset=0.2 + 0j), Moment(6 * S, 6 * S)) == [], "it goes on"
    (end,) = views.end(Moment(7 * S, 7 * S), "the stream has ended")
    assert end.kind == "camera_moved"
