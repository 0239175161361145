import msgspec

from pipeline.base.event import Event, rfc3339
from pipeline.base.watched import Line, Rule, Watch, Zone
from pipeline.view.web.places import Places

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


def standing(places, second, stream_id="front"):
    return {one.pop("name"): one for one in places.standing(stream_id, START_NS + second * 10**9)}


def test_zones_and_lines_of_a_stream():
    places = Places(WATCH)
    assert list(standing(places, 0)) == ["drive", "bed", "gate"]
    assert list(standing(places, 0, "back")) == ["drive", "gate"]
    assert standing(places, 0)["bed"] == {"kind": "zone", "moving": None, "share": None}


def test_what_moves_and_what_was_crossed():
    places = Places(WATCH)
    places.take(event(0, "moving", "start", zone="drive"))
    for second, way in ((1, "forward"), (2, "forward"), (3, "backward")):
        places.take(event(second, "crossed", "once", line="gate", why={"way": way}))
    found = standing(places, 30)
    assert found["drive"] == {"kind": "zone", "moving": True, "share": 0.5}
    assert found["gate"] == {"kind": "line", "forward": 2, "backward": 1}
    assert standing(places, 30, "back")["gate"]["forward"] == 0
    places.take(event(30, "moving", "end", zone="drive", start="moving0"))
    assert standing(places, 30)["drive"]["moving"] is False


def test_with_other_rules_what_is_the_same_goes_on_and_the_rest_begins_anew():
    places = Places(WATCH)
    places.take(event(0, "moving", "start", zone="drive"))
    places.take(event(1, "crossed", "once", line="gate", why={"way": "forward"}))
    more = {**WATCH.zones, "porch": WATCH.zones["drive"]}
    places.replace_watch(msgspec.structs.replace(WATCH, zones=more))
    assert standing(places, 30)["drive"] == {"kind": "zone", "moving": True, "share": 0.5}
    assert standing(places, 30)["gate"]["forward"] == 1
    moved = Line(points=[(0.6, 0.0), (0.6, 1.0)])
    places.replace_watch(Watch(lines={"gate": moved}))
    places.replace_watch(Watch(zones=WATCH.zones, lines={"gate": moved}))
    assert standing(places, 30)["gate"] == {"kind": "line", "forward": 0, "backward": 0}
    assert standing(places, 30)["drive"] == {"kind": "zone", "moving": False, "share": 0.0}
