"""Rules of one stream over what happens to it: views that change, cuts, and a beginning anew."""

import msgspec

from pipeline.base.event import Event, Moment, rfc3339
from pipeline.base.sight import Sight
from pipeline.base.watched import Rule, View, Watch, Zone
from pipeline.scene.rule_input import Cut, Look, in_steps
from pipeline.scene.stream_rules import StreamRules
from tests.base.test_sight import sight
from tests.scene.walking import START_NS, Way, slowing, straight, thing

WAY: Way = slowing(0.05, 0.6, 0.2, 0.0, stops=2.0)
SQUARE = [(0.3, 0.3), (0.7, 0.3), (0.7, 0.9), (0.3, 0.9)]
COOL_DOWN = Watch(
    views={name: View(picture=f"{name}.png") for name in ("gate", "yard")},
    zones={"drive": Zone(points=SQUARE, view="gate")},
    rules={"visitor": Rule(kind="entered", zone="drive", cool_down_s=60.0)},
)


def passes(
    rules: StreamRules, begins: float, seconds: float = 5.0, *, view: Sight | None = None, session: int = 1
) -> list[Event]:
    """Somebody walks through the zone from a second on; ids differ from time to time."""
    way, told = straight(0.1, 0.6, 0.2, 0.0), []
    for n in range(round(seconds * 25)):
        at_ns = round((begins + n / 25) * 1e9)
        seen = thing(1 + round(begins), way, n / 25)
        now = Moment(at_ns + 1, START_NS + at_ns)
        look = Look(session=session, now=now, depth=2, things=[seen] if seen else [], sight=view)
        told += rules.take(in_steps(look))
    return [one for one in told if one.kind != "camera_moved"]


def test_a_cool_down_goes_on_while_the_camera_looks_elsewhere() -> None:
    rules = StreamRules("ptz", COOL_DOWN)
    gate, yard = sight(view="gate"), sight(view="yard")
    assert len(passes(rules, 0, view=gate)) == 1
    assert passes(rules, 10, view=yard) == []
    assert passes(rules, 20, view=gate) == [], "only 20 s of 60 have passed"
    assert len(passes(rules, 80, view=gate)) == 1


def test_a_cool_down_goes_on_over_a_cut_and_over_a_restart_of_capture() -> None:
    rules = StreamRules("ptz", COOL_DOWN)
    assert len(passes(rules, 0)) == 1
    rules.cut(Cut("the picture is dark"))
    assert passes(rules, 20) == []
    assert passes(rules, 40, session=2) == [], "capture was restarted, its clock goes on"


def test_a_stream_that_begins_anew_with_another_clock_is_not_muted_by_the_old_one() -> None:
    rules = StreamRules("ptz", COOL_DOWN)
    assert len(passes(rules, 1000)) == 1
    assert len(passes(rules, 0, session=2)) == 1


def with_rules(watch: Watch, **rules: Rule) -> Watch:
    return msgspec.structs.replace(watch, rules={**watch.rules, **rules})


def test_a_cool_down_goes_on_where_the_rule_is_the_same_and_ends_where_it_is_another_one() -> None:
    rules = StreamRules("ptz", COOL_DOWN)
    assert len(passes(rules, 0)) == 1
    same = Rule(kind="entered", zone="drive", cool_down_s=60.0)
    more = with_rules(COOL_DOWN, visitor=same, goodbye=Rule(kind="left", zone="drive"))
    assert rules.replace_watch(more) == []
    assert [one.kind for one in passes(rules, 10)] == ["left"]
    other = with_rules(COOL_DOWN, visitor=Rule(kind="entered", zone="drive", cool_down_s=50.0))
    assert rules.replace_watch(other) == []
    assert [one.kind for one in passes(rules, 20)] == ["entered"]


def test_of_two_rules_about_what_stands_in_a_zone_one_goes_on_when_the_other_is_gone() -> None:
    halt = Rule(kind="stopped", zone="drive", for_s=1.0)
    watch = Watch(zones={"drive": Zone(points=SQUARE)}, rules={"halt": halt})
    rules, told = StreamRules("door", with_rules(watch, also=halt)), list[Event]()
    for n in range(200):
        if n == 150:
            (end,) = rules.replace_watch(watch)
            assert (end.rule, end.why) == ("also", {"ended": "the rules were changed"})
        seen = thing(1, WAY, n / 25)
        now = Moment(n * 40_000_000 + 1, START_NS + n * 40_000_000)
        told += rules.take(in_steps(Look(session=1, now=now, depth=2, things=[seen] if seen else [])))
    assert [(one.rule, one.phase) for one in told] == [("halt", "start"), ("also", "start")]
    (end,) = rules.cut(Cut("over"))
    assert end.start == told[0].id
    assert (end.for_s or 0) > 5.0, "all the time"


def test_a_rule_that_is_new_for_a_zone_begins_now() -> None:
    """Not when those came in who are there."""
    first = Rule(kind="entered", zone="drive")
    watch = Watch(zones={"drive": Zone(points=SQUARE)}, rules={"in": first})
    rules = StreamRules("door", watch)
    assert [one.kind for one in passes(rules, 0, 2.5)] == ["entered"]
    rules.replace_watch(with_rules(watch, motion=Rule(kind="moving", zone="drive")))
    seen = thing(1, straight(0.1, 0.6, 0.2, 0.0), 2.5)
    assert seen
    now = Moment(2_500_000_001, START_NS + 2_500_000_000)
    (start,) = rules.take(in_steps(Look(session=1, now=now, depth=2, things=[seen])))
    assert start.kind == "moving"
    assert start.time == rfc3339(now.wall_ns)
