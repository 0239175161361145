"""Rules of one stream over what happens to it: views that change, cuts, and a beginning anew."""

from pipeline.base.event import Event, Moment
from pipeline.base.sight import Sight
from pipeline.base.watched import Rule, View, Watch, Zone
from pipeline.scene.rule_input import Cut, Look, in_steps
from pipeline.scene.stream_rules import StreamRules
from tests.base.test_sight import sight
from tests.scene.walking import START_NS, straight, thing

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
