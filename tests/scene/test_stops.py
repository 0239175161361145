"""Who has stopped in a zone, by the events of a rule, and what looks like it and is not."""

import math
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.event import Event, Moment
from pipeline.base.watched import Rule, Watch, Zone
from pipeline.scene.rule_book import RuleBook
from pipeline.scene.stops import MOST_STOPS, Stops
from pipeline.scene.zones import Area
from tests.base.test_sight import sight
from tests.scene.walking import START_NS, Way, second, slowing, straight, thing, told, walked

YARD = Zone(points=[(0.2, 0.2), (0.8, 0.2), (0.8, 0.9), (0.2, 0.9)])


def stopped(ways: dict[int, Way], seconds: float, **rule: object) -> list[Event]:
    watch = Watch(zones={"yard": YARD}, rules={"halt": Rule(kind="stopped", zone="yard", **rule)})
    return told(watch, ways, seconds)


@pytest.mark.parametrize("fps", [8.0, 25.0])
def test_who_slows_down_in_a_zone_and_is_seen_no_more_has_stopped(fps: float) -> None:
    watch = Watch(zones={"yard": YARD}, rules={"halt": Rule(kind="stopped", zone="yard")})
    start, end = told(watch, {7: slowing(0.05, 0.6, 0.2, 0.0, stops=2.0)}, 8, fps)
    assert (start.kind, start.phase, start.zone, start.thing) == ("stopped", "start", "yard", 7)
    assert second(start) == pytest.approx(2.2, abs=0.2)
    assert start.direction_deg == 0
    assert (end.phase, end.start, end.why) == ("end", start.id, {"ended": "the stream has ended"})
    assert end.for_s == pytest.approx(8 - second(start), abs=1e-3)


@pytest.mark.parametrize("goes_on", [4.5, 9.0])
def test_it_ends_when_it_goes_on_under_its_own_id_or_another(goes_on: float) -> None:
    way = slowing(0.05, 0.6, 0.2, 0.0, stops=2.0, goes_on=goes_on)
    one: dict[int, Way] = {1: way}
    two: dict[int, Way] = {1: lambda t: way(t) if t < 4 else None, 9: lambda t: way(t) if t >= 4 else None}
    for ways in (one, two):
        start, end = stopped(ways, 12)
        assert second(end) == pytest.approx(goes_on, abs=0.3)
        assert end.start == start.id
        assert end.why == {}


def test_who_goes_on_before_it_has_lasted_has_not_stopped() -> None:
    assert stopped({1: slowing(0.05, 0.6, 0.2, 0.0, stops=2.0, goes_on=3.8)}, 8) == []
    assert len(stopped({1: slowing(0.05, 0.6, 0.2, 0.0, stops=2.0, goes_on=3.8)}, 8, for_s=1.0)) == 2


NONE: dict[str, dict[int, Way]] = {
    "walks through": {1: straight(0.05, 0.6, 0.15, 0.0)},
    "walks slowly": {1: straight(0.25, 0.6, 0.02, 0.0)},
    "goes behind a post at full speed": {1: straight(0.05, 0.6, 0.2, 0.0, ends=2.0)},
    "stops outside": {1: slowing(0.05, 0.15, 0.2, 0.0, stops=2.0)},
    "leaves the picture, slower at last": {1: slowing(0.5, 0.6, 0.2, 0.0, stops=2.4)},
    "has only turned round": {1: slowing(0.5, 0.6, 0.02, 0.0, stops=0.5)},
    "goes on beside another one that it meets": {
        1: slowing(0.05, 0.6, 0.2, 0.0, stops=2.0),
        2: straight(0.15, 0.6, 0.15, 0.0),
    },
    "goes on under another id at once": {
        1: slowing(0.05, 0.6, 0.2, 0.0, stops=2.0),
        2: straight(0.46, 0.6, 0.1, 0.0, begins=2.6),
    },
    "nothing": {},
}


@pytest.mark.parametrize("what", NONE)
def test_what_is_no_stop(what: str) -> None:
    assert stopped(NONE[what], 9) == []


def test_who_sways_where_it_stopped_stays_stopped() -> None:
    def way(t: float) -> tuple[float, float]:
        x, y = (0.05 + 0.2 * min(t, 2.0), 0.6)
        return (x + (0.006 * math.sin(5 * t) if t > 2 else 0.0), y)

    start, end = stopped({1: way}, 20)
    assert second(start) == pytest.approx(2.0, abs=0.3)
    assert end.why == {"ended": "the stream has ended"}


def test_who_passes_before_it_has_not_ended_it_whatever_id_it_gets() -> None:
    passes = straight(0.1, 0.62, 0.2, 0.0, begins=6.0)
    ways: dict[int, Way] = {
        1: slowing(0.05, 0.6, 0.2, 0.0, stops=2.0),
        2: lambda t: passes(t) if t < 7.8 else None,
        3: lambda t: passes(t) if t >= 7.9 else None,
    }
    (_, end) = stopped(ways, 12)
    assert end.why == {"ended": "the stream has ended"}


def test_two_do_not_stand_in_one_place() -> None:
    later = slowing(0.05, 0.6, 0.2, 0.0, stops=2.0)
    ways: dict[int, Way] = {1: slowing(0.05, 0.6, 0.2, 0.0, stops=2.0), 2: lambda t: later(t - 6)}
    first, ended, second_one, _ = stopped(ways, 14)
    assert (ended.start, second_one.thing) == (first.id, 2)
    assert second(ended) == second(second_one)


def test_size_and_cool_down_count_as_for_other_rules() -> None:
    way = {1: slowing(0.05, 0.6, 0.2, 0.0, stops=2.0)}
    assert stopped(way, 8, min_size=0.02) == []
    again: dict[int, Way] = {**way, 2: slowing(0.05, 0.3, 0.2, 0.0, stops=3.0)}
    assert len(stopped(again, 8, cool_down_s=60.0)) == 2


def test_where_ids_are_new_what_was_told_stands_and_what_was_not_is_forgotten() -> None:
    def run(forgets_at: float, then: dict[int, Way]) -> list[Event]:
        rules = {"halt": Rule(kind="stopped", zone="yard")}
        book, events = RuleBook("door", Watch(zones={"yard": YARD}, rules=rules)), []
        before: dict[int, Way] = {1: slowing(0.05, 0.6, 0.2, 0.0, stops=2.0)}
        for now, things in walked(before, forgets_at):
            events += book.update(things, now)
        book.forget()
        for now, things in walked(then, 12):
            if now.time_ns > forgets_at * 1e9:
                events += book.update(things, now)
        return events

    elsewhere: dict[int, Way] = {1: straight(0.1, 0.3, 0.05, 0.0)}
    assert [one.phase for one in run(6.0, elsewhere)] == ["start"], "id 1 is another one now"
    there: dict[int, Way] = {1: straight(0.45, 0.6, 0.05, 0.0, begins=8.0)}
    assert [one.phase for one in run(6.0, there)] == ["start", "end"]
    assert run(3.0, elsewhere) == []


def test_the_edge_is_that_of_the_picture_wherever_the_view_is_in_it() -> None:
    def standing(offset: complex) -> int:
        stops = Stops(Area(Zone(points=[(0, 0), (1, 0), (1, 1), (0, 1)])))
        for now, things in walked({1: slowing(0.3, 0.6, 0.2, 0.0, stops=2.0)}, 6):
            stops.update(things, now, sight(offset=offset))
        return len(stops.standing)

    assert standing(0j) == 1
    assert standing(0.25 + 0j) == 0, "it was last seen where the picture ends"


@settings(max_examples=20)
@given(st.integers(1, 200), st.floats(0.03, 0.3))
def test_there_are_never_more_than_so_many(count: int, side: float) -> None:
    stops = Stops(Area(Zone(points=[(0, 0), (1, 0), (1, 1), (0, 1)])))
    for n in range(count):
        way, begins = straight(0.1, 0.1 + 0.8 * (n % 50) / 50, 0.6, 0.0), n * 3
        for k in range(12):
            at_ns = round((begins + k / 10) * 1e9)
            speeds = 0.6 if k < 8 else 0.1
            seen = thing(n + 1, way, k / 10, side)
            assert seen
            slower = msgspec.structs.replace(seen, speed=speeds)
            stops.update([slower], Moment(at_ns + 1, START_NS + at_ns), None)
        stops.update([], Moment(round((begins + 2) * 1e9), START_NS), None)
    assert len(stops.standing) <= MOST_STOPS


BELT: Callable[[float], Way] = lambda until: lambda t: (0.3 + 0.2 * (t % 2), 0.6) if t < until else None  # noqa: E731


def test_a_zone_in_which_motion_has_ceased_is_told_and_when_it_begins_again() -> None:
    ways = {1: BELT(10.0), 2: straight(0.3, 0.6, 0.2, 0.0, begins=30.0, ends=31)}
    start, end, again, last = stopped(ways, 45, of="zone", for_s=5.0)
    assert (start.phase, start.thing, start.zone) == ("start", None, "yard")
    assert second(start) == pytest.approx(10.0, abs=0.1)
    assert second(end) == pytest.approx(30.0, abs=0.3)
    assert end.for_s == pytest.approx(20.0, abs=0.4)
    assert second(again) == pytest.approx(31.0, abs=0.1)
    assert last.why == {"ended": "the stream has ended"}


def test_a_zone_in_which_nothing_ever_moved_has_not_stopped() -> None:
    assert stopped({1: straight(0.05, 0.1, 0.2, 0.0)}, 20, of="zone") == []
