import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.watched import Line, Rule, Watch, Zone
from tests.scene.walking import second, straight, through, told

MIDDLE = Zone(points=[(0.3, 0.3), (0.7, 0.3), (0.7, 0.9), (0.3, 0.9)])
ACROSS = Line(points=[(0.1, 0.5), (0.9, 0.5)])


def watch(*kinds: str, **more: object) -> Watch:
    rules = {kind: Rule(kind=kind, zone="yard", **more) for kind in kinds}
    return Watch(zones={"yard": MIDDLE}, rules=rules)


def test_who_walks_through_a_zone_enters_it_moves_in_it_and_leaves_it() -> None:
    events = told(watch("entered", "moving", "left"), {7: straight(0.1, 0.6, 0.2, 0.0, ends=4.2)}, 8)
    assert [(one.kind, one.phase) for one in events] == [
        ("entered", "once"),
        ("moving", "start"),
        ("left", "once"),
        ("moving", "end"),
    ]
    entered, started, left, ended = events
    assert second(entered) == pytest.approx(1.0, abs=0.05)
    assert second(left) == pytest.approx(3.0, abs=0.1)
    assert second(started) == pytest.approx(1.0, abs=0.05)
    assert second(ended) == pytest.approx(3.0, abs=0.2)
    assert (entered.thing, entered.zone, entered.direction_deg) == (7, "yard", 0)
    assert entered.speed == pytest.approx(0.2, abs=1e-3)
    assert left.for_s == pytest.approx(2.0, abs=0.1)
    assert ended.start == started.id
    assert len({one.id for one in events}) == 4


def test_who_begins_to_move_inside_has_not_entered_and_who_stops_there_has_not_left() -> None:
    events = told(watch("entered", "left"), {1: through((1, 0.5, 0.6), (2, 0.55, 0.6))}, 6)
    assert events == []


def test_who_is_first_seen_just_inside_and_comes_from_the_edge_has_entered() -> None:
    edge = Watch(
        zones={"yard": Zone(points=[(0, 0.3), (0.5, 0.3), (0.5, 0.9), (0, 0.9)])},
        rules={kind: Rule(kind=kind, zone="yard") for kind in ("entered", "left")},
    )
    in_and_out = through((0, 0.05, 0.6), (1.5, 0.4, 0.6), (3, 0.04, 0.6))
    assert [one.kind for one in told(edge, {1: in_and_out}, 6)] == ["entered", "left"]


def test_who_wavers_at_the_edge_of_a_zone_enters_once() -> None:
    def way(t: float) -> tuple[float, float]:
        return 0.3 + 0.008 * math.sin(30 * t) + (0.2 * t - 0.1 if t > 0.5 else 0.0), 0.6

    events = told(watch("entered", "left"), {1: way}, 2)
    assert [one.kind for one in events] == ["entered"]


@given(angle=st.floats(0, 2 * math.pi), fps=st.sampled_from([5.0, 12.5, 25.0]))
def test_a_crossing_is_told_once_with_its_way(angle: float, fps: float) -> None:
    dx, dy = 0.2 * math.cos(angle), 0.2 * math.sin(angle)
    if abs(dy) < 0.06:
        return
    way = straight(0.5 - 1.5 * dx, 0.5 - 1.5 * dy, dx, dy, ends=3)
    (event,) = told(Watch(lines={"gate": ACROSS}), {1: way}, 5, fps)
    assert event.why == {"way": "forward" if dy > 0 else "backward"}
    assert (event.kind, event.phase, event.line, event.rule) == ("crossed", "once", "gate", "gate")
    assert -0.05 <= second(event) - 1.5 <= 0.01 / abs(dy) + 1 / fps + 0.05


def test_to_and_fro_on_the_line_and_past_its_end_is_no_crossing() -> None:
    def wavers(t: float) -> tuple[float, float]:
        return 0.5, 0.5 + 0.009 * math.sin(20 * t)

    def comes_and_wavers(t: float) -> tuple[float, float]:
        return 0.3, 0.4 + 0.1 * t if t < 1 else 0.5 + 0.02 * math.sin(2 * math.pi * 6 * (t - 1))

    around = through((0, 0.95, 0.3), (2, 0.95, 0.7))
    ways = {1: wavers, 2: around, 3: comes_and_wavers}
    assert told(Watch(lines={"gate": ACROSS}), ways, 4) == []


def test_there_and_back_is_two_crossings() -> None:
    events = told(Watch(lines={"gate": ACROSS}), {1: through((0, 0.5, 0.3), (2, 0.5, 0.7), (4, 0.5, 0.3))}, 5)
    assert [one.why["way"] for one in events] == ["forward", "backward"]


def test_a_box_that_jumps_back_over_the_line_is_no_crossing() -> None:
    jumps = through((0, 0.5, 0.3), (1, 0.5, 0.6), (1.001, 0.5, 0.4), (3, 0.5, 0.9))
    assert [one.why["way"] for one in told(Watch(lines={"gate": ACROSS}), {1: jumps}, 4)] == ["forward"]


def test_a_line_can_ask_for_one_way() -> None:
    rules = {"in": Rule(kind="crossed", line="gate", way="backward")}
    both = {1: through((0, 0.5, 0.3), (2, 0.5, 0.7)), 2: through((0, 0.6, 0.7), (2, 0.6, 0.3))}
    (event,) = told(Watch(lines={"gate": ACROSS}, rules=rules), both, 4)
    assert (event.thing, event.rule) == (2, "in")


def test_filters_by_direction_speed_and_size() -> None:
    ways = {1: straight(0.1, 0.6, 0.2, 0.0, ends=4), 2: straight(0.9, 0.6, -0.2, 0.0, ends=4)}

    def who(**more: object) -> set[int | None]:
        return {one.thing for one in told(watch("entered", **more), ways, 5)}

    assert who() == {1, 2}
    assert who(direction_deg=0.0) == {1}
    assert who(direction_deg=180.0) == {2}
    assert who(direction_deg=90.0) == set()
    assert who(min_speed=0.3) == set()
    assert who(min_size=0.02) == set()
    assert who(max_size=0.005) == set()


def test_who_stays_is_told_after_that_time_and_when_it_goes() -> None:
    slowly = through((0, 0.1, 0.6), (1, 0.4, 0.6), (8, 0.6, 0.6), (9, 0.9, 0.6))
    start, end = told(watch("stayed", for_s=5.0), {3: slowly}, 12)
    assert (start.phase, end.phase, end.start) == ("start", "end", start.id)
    assert second(start) == pytest.approx(1 - 1 / 3 + 5, abs=0.2)
    assert start.for_s == pytest.approx(5.0, abs=0.05)
    assert second(end) == pytest.approx(8.35, abs=0.3)


def test_who_goes_the_wrong_way_is_told_once_until_it_turns_or_leaves() -> None:
    turns = through((0, 0.35, 0.6), (1, 0.55, 0.6), (3, 0.35, 0.6), (5, 0.55, 0.6))
    one_way = watch("wrong_way", direction_deg=0.0)
    start, end = told(one_way, {1: turns, 2: straight(0.1, 0.7, 0.2, 0.0)}, 6)
    assert (start.thing, start.phase, end.phase, end.start) == (1, "start", "end", start.id)
    assert second(start) == pytest.approx(1.5, abs=0.1)
    assert second(end) == pytest.approx(3.0, abs=0.15)
    assert told(one_way, {1: straight(0.5, 0.4, 0.0, 0.1)}, 4) == [], "across is not against"


def test_what_is_open_when_the_stream_ends_is_ended() -> None:
    start, end = told(watch("moving"), {1: straight(0.1, 0.6, 0.05, 0.0)}, 8)
    assert (start.phase, end.phase, end.start) == ("start", "end", start.id)
    assert end.why == {"ended": "the stream has ended"}


def test_a_cool_down_leaves_out_whole_events() -> None:
    ways = {n: straight(0.1, 0.6, 0.3, 0.0, begins=3.0 * n, ends=3.0 * n + 2.5) for n in range(4)}
    assert len(told(watch("entered"), ways, 14)) == 4
    assert len(told(watch("entered", cool_down_s=5.0), ways, 14)) == 2
    events = told(watch("moving", cool_down_s=5.0, quiet_s=0.5), ways, 14)
    assert [one.phase for one in events] == ["start", "end"] * 2


def test_the_same_frames_tell_the_same_ids() -> None:
    way = {1: straight(0.1, 0.6, 0.2, 0.0)}
    assert told(watch("entered", "moving"), way, 6) == told(watch("entered", "moving"), way, 6)


@given(fps=st.sampled_from([3.0, 7.0, 25.0, 60.0]), speed=st.floats(0.05, 0.6))
def test_starts_and_ends_pair_at_any_rate(fps: float, speed: float) -> None:
    rules = {"moves": Rule(kind="moving", zone="yard"), "stays": Rule(kind="stayed", zone="yard", for_s=0.5)}
    watched = Watch(zones={"yard": MIDDLE}, rules=rules)
    open_starts: list[str] = []
    for event in told(watched, {1: straight(0.1, 0.6, speed, 0.0)}, 10, fps):
        if event.phase == "start":
            open_starts.append(event.id)
        else:
            open_starts.remove(event.start or "")
    assert open_starts == []


def test_somebody_who_goes_the_wrong_way_and_vanishes_at_once_is_not_told() -> None:
    backwards = {1: through((0, 0.6, 0.6), (0.3, 0.54, 0.6))}
    assert told(watch("wrong_way", direction_deg=0.0), backwards, 4) == []
    assert told(watch("stayed", for_s=1.0), backwards, 4) == []


def test_what_lasted_ended_when_it_was_last_seen() -> None:
    vanishes = {1: through((0, 0.65, 0.6), (2, 0.35, 0.6))}
    start, end = told(watch("wrong_way", direction_deg=0.0), vanishes, 6)
    assert second(start) == pytest.approx(0.5, abs=0.2)
    assert second(end) == pytest.approx(2.0, abs=0.05)
    assert end.for_s == pytest.approx(2.0, abs=0.2)


def test_one_look_in_the_other_direction_ends_nothing() -> None:
    def way(t: float) -> tuple[float, float]:
        return 0.65 - 0.1 * t + (0.02 if abs(t - 1.2) < 0.03 else 0.0), 0.6

    events = told(watch("wrong_way", direction_deg=0.0), {1: way}, 2.5)
    assert [one.phase for one in events] == ["start", "end"]


def test_moving_without_a_quiet_time_is_one_event_as_long_as_it_moves() -> None:
    events = told(watch("moving", quiet_s=0.0), {1: straight(0.1, 0.6, 0.2, 0.0, ends=4)}, 6)
    assert [one.phase for one in events] == ["start", "end"]


def test_what_stands_crosses_nothing_though_its_box_jumps() -> None:
    def legs(t: float) -> tuple[float, float]:
        return 0.5, 0.45 if int(t) % 2 else 0.55

    assert told(Watch(lines={"gate": ACROSS}), {1: legs}, 8) == []


def test_single_looks_beyond_a_line_do_not_add_up() -> None:
    def way(t: float) -> tuple[float, float]:
        return 0.5, 0.6 if round(t * 25) in (50, 150) else 0.495 - 0.01 * (t < 1)

    assert told(Watch(lines={"gate": ACROSS}), {1: way}, 8) == []


@pytest.mark.parametrize("x", [0.42, 0.5, 0.58])
def test_a_bent_line_is_crossed_on_both_sides_of_its_bend(x: float) -> None:
    """A roof: down through it is forward, whichever stretch is nearest."""
    roof = Line(points=[(0.2, 0.7), (0.5, 0.3), (0.8, 0.7)])
    events = told(Watch(lines={"roof": roof}), {1: through((0, x, 0.15), (3, x, 0.9))}, 4)
    assert [one.why["way"] for one in events] == ["forward"]


def test_a_slow_camera_tells_who_comes_and_goes_too() -> None:
    events = told(watch("entered", "left"), {1: straight(0.1, 0.6, 0.1, 0.0, ends=7)}, 12, fps=2.0)
    assert [one.kind for one in events] == ["entered", "left"]
