import pytest

from pipeline.base.episode import Episode, end_of
from pipeline.base.event import Event, Moment, event_id, rfc3339

START_NS = 1_790_000_000 * 10**9
START = Event(
    id="0123456789abcdef",
    time=rfc3339(START_NS),
    stream_id="front",
    kind="stayed",
    phase="start",
    rule="loiterer",
    zone="drive",
    thing=7,
    speed=0.1,
    for_s=10.0,
    evidence="outputs/evidence/0123456789abcdef",
    why={"label": "open", "shift": 3},
)
SINCE = Moment(5 * 10**9, START_NS - 10 * 10**9)


def test_an_end_says_of_what_it_is_the_end_and_how_long_that_was() -> None:
    end = Episode(START, SINCE).end(Moment(25 * 10**9, START_NS + 10 * 10**9), ended="the view was lost")
    assert (end.phase, end.start, end.for_s) == ("end", START.id, 20.0)
    assert end.time == rfc3339(START_NS + 10 * 10**9)
    for what in ("stream_id", "kind", "rule", "zone", "line", "thing", "evidence"):
        assert getattr(end, what) == getattr(START, what)
    assert end.why == {"label": "open", "ended": "the view was lost"}
    assert end.speed is None


@pytest.mark.parametrize("after_s", [0.0, 1.0, 1000.0])
def test_whoever_ends_it_and_whenever_the_id_is_the_same(after_s: float) -> None:
    at = Moment(round(after_s * 1e9), START_NS + round(after_s * 1e9))
    assert Episode(START, SINCE).end(at).id == end_of(START, START_NS, 0.0, ended="the sink was killed").id
    assert end_of(START, START_NS, 0.0).id == event_id(START.id, "end")
    assert end_of(START, START_NS, 0.0).id != START.id
