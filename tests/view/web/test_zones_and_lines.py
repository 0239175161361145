import msgspec

from pipeline.base.event import Event, rfc3339
from pipeline.base.watched import Line, Rule, Watch, Zone
from pipeline.scene.crossing_counts import CrossingCounts
from pipeline.view.web.zones_and_lines import ZonesAndLines

START_NS = 1_800_000_000 * 10**9
CORNERS = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)]
WATCH = Watch(
    zones={"drive": Zone(points=CORNERS), "bed": Zone(points=CORNERS, streams=["front"])},
    lines={"gate": Line(points=[(0.5, 0.0), (0.5, 1.0)])},
    rules={"in": Rule(kind="entered", zone="bed")},
)


def event(second, kind, phase, **where):
    at = rfc3339(START_NS + second * 10**9)
    return Event(id=f"{kind}{second}", time=at, stream_id="front", kind=kind, phase=phase, **where)


def standing(watched, second, stream_id="front"):
    return {one.pop("name"): one for one in watched.standing(stream_id, START_NS + second * 10**9)}


def test_zones_and_lines_of_a_stream():
    watched = ZonesAndLines(WATCH, CrossingCounts())
    assert list(standing(watched, 0)) == ["drive", "bed", "gate"]
    assert list(standing(watched, 0, "back")) == ["drive", "gate"]
    assert standing(watched, 0)["bed"] == {"kind": "zone", "moving": None, "share": None}


def test_what_moves_and_what_was_crossed():
    crossed = CrossingCounts()
    watched = ZonesAndLines(WATCH, crossed)
    watched.take(event(0, "moving", "start", zone="drive"))
    for second, way in ((1, "forward"), (2, "forward"), (3, "backward")):
        crossed.take(event(second, "crossed", "once", line="gate", why={"way": way}))
    found = standing(watched, 30)
    assert found["drive"] == {"kind": "zone", "moving": True, "share": 0.5}
    assert found["gate"] == {"kind": "line", "forward": 2, "backward": 1}
    assert standing(watched, 30, "back")["gate"]["forward"] == 0
    watched.take(event(30, "moving", "end", zone="drive", start="moving0"))
    assert standing(watched, 30)["drive"]["moving"] is False


def test_with_other_rules_what_is_the_same_goes_on_and_the_rest_begins_anew():
    watched = ZonesAndLines(WATCH, CrossingCounts())
    watched.take(event(0, "moving", "start", zone="drive"))
    more = {**WATCH.zones, "porch": WATCH.zones["drive"]}
    watched.replace_watch(msgspec.structs.replace(WATCH, zones=more))
    assert standing(watched, 30)["drive"] == {"kind": "zone", "moving": True, "share": 0.5}
    watched.replace_watch(Watch(lines=WATCH.lines))
    assert list(standing(watched, 30)) == ["gate"]
    watched.replace_watch(WATCH)
    assert standing(watched, 30)["drive"] == {"kind": "zone", "moving": False, "share": 0.0}
