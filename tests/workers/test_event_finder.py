"""Predictions to events: what a stream does that begins anew, and what the picture shows of zones."""

import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import msgspec
import numpy as np
import pytest

from pipeline.base.config import load_config
from pipeline.base.event import Event
from pipeline.events.archive import Chunk
from pipeline.events.motion_log import LogPart, pack
from pipeline.events.replay import Replay
from pipeline.wire.messages import PastFrame, Prediction
from tests.base.test_sight import sight
from tests.scene.pinhole import Pinhole
from tests.scene.walking import START_NS, Way, straight, thing
from tests.wire.peers import bad_picture, prediction
from tests.workers.pipeline import Pipeline
from tests.workers.program import Outcome
from workers.event_finder import EventFinder

SETTINGS = [
    "zones.yard.points=[[0.3, 0.3], [0.7, 0.3], [0.7, 0.9], [0.3, 0.9]]",
    "zones.garden.points=[[0.3, 0.3], [0.7, 0.3], [0.7, 0.9]]",
    "zones.garden.streams=['garden']",
    "lines.gate.points=[[0.5, 0.1], [0.5, 0.95]]",
]
PAST = [PastFrame(0, 0, 80.0)]


def predictions(way: Way, seconds: float, begins: float = 0.0, **changes: Any) -> Iterator[Prediction]:
    """Of one thing on its way, at 25 frames a second."""
    for n in range(round(begins * 25), round((begins + seconds) * 25)):
        seen = thing(1, way, n / 25)
        things = [msgspec.structs.replace(seen, was=[seen.box])] if seen else []
        yield prediction(n, capture_ns=START_NS + n * 40_000_000, things=things, past=PAST, **changes)


def kinds(events: list[Event]) -> list[str]:
    return [f"{event.kind} {event.phase}" for event in events]


def test_zones_and_lines_of_the_stream_are_told_and_shown() -> None:
    finder = EventFinder("door", load_config(None, SETTINGS))
    told, shown = [], []
    for one in predictions(straight(0.1, 0.6, 0.2, 0.0, ends=4.2), 8.0):
        told += finder.take(one)
        shown.append({each.name: (each.is_lit, each.note) for each in finder.watched()})
    assert kinds(told) == ["moving start", "crossed once", "moving end"]
    assert shown[0] == {"yard": (False, ""), "gate": (False, "")}
    assert shown[60] == {"yard": (True, ""), "gate": (True, "0 forward, 1 back")}
    assert shown[-1] == {"yard": (False, ""), "gate": (False, "0 forward, 1 back")}


def test_what_is_out_of_sight_or_of_a_network_without_dense_motion_tells_nothing() -> None:
    finder = EventFinder("door", load_config(None, SETTINGS))
    for one in predictions(straight(0.1, 0.6, 0.2, 0.0), 3.0):
        unseen = [msgspec.structs.replace(each, was=[]) for each in one.things or []]
        assert finder.take(msgspec.structs.replace(one, things=unseen)) == []
    finder = EventFinder("door", load_config(None, SETTINGS))
    for one in predictions(straight(0.1, 0.6, 0.2, 0.0), 3.0):
        assert finder.take(msgspec.structs.replace(one, things=None)) == []
    assert finder.end("over") == []


def test_a_stream_that_begins_anew_ends_what_has_begun() -> None:
    way = straight(0.1, 0.6, 0.2, 0.0)
    for changes in ({"session": 2}, {}):  # another capture worker; a clock that was set back
        finder = EventFinder("door", load_config(None, SETTINGS))
        first = [event for one in predictions(way, 2.0) for event in finder.take(one)]
        again = [event for one in predictions(way, 2.0, **changes) for event in finder.take(one)]
        assert kinds(first) == ["moving start"]
        assert kinds(again) == ["moving end", "moving start"]
        assert again[0].start == first[0].id
        assert again[0].why == {"ended": "the stream restarted"}


def test_ids_of_an_inference_worker_that_was_restarted_are_not_mixed_up() -> None:
    """Its first prediction has no past; the thing with id 1 is now another one, inside from the start."""
    config = load_config(None, [*SETTINGS, "rules.visitor.kind=entered", "rules.visitor.zone=yard"])
    finder = EventFinder("door", config)
    before = [event for one in predictions(straight(0.1, 0.6, 0.05, 0.0), 2.0) for event in finder.take(one)]
    empty = prediction(50, capture_ns=START_NS + 2 * 10**9, things=[], past=[])
    inside = predictions(straight(0.5, 0.6, 0.05, 0.0, begins=2.1), 2.0, begins=2.1)
    after = [event for one in (empty, *inside) for event in finder.take(one)]
    assert kinds(before + after) == []


def panned(one: Prediction, offset: complex, **changes: Any) -> Prediction:
    """The same prediction from a camera whose view is elsewhere in the picture."""
    things = [
        msgspec.structs.replace(each, box=(each.box[0] + offset.real, *each.box[1:]))
        for each in one.things or []
    ]
    return msgspec.structs.replace(one, things=things, sight=sight(offset=offset, **changes))


def test_zones_and_lines_stay_with_the_scene_when_the_camera_pans() -> None:
    """Something that moves in place left of the line: only the picture goes to and fro under it."""
    finder, told = EventFinder("door", load_config(None, SETTINGS)), []
    pans = [0.2 * math.sin(n / 8) for n in range(100)]
    for one, x in zip(predictions(straight(0.25, 0.6, 0.0, 0.0), 4.0), pans, strict=True):
        told += finder.take(panned(one, x + 0j))
        gate = next(each for each in finder.watched() if each.name == "gate")
        assert gate.points[0] == pytest.approx((0.5 + x, 0.1))
    assert told == []
    finder, told = EventFinder("door", load_config(None, SETTINGS)), []
    for one, x in zip(predictions(straight(0.1, 0.6, 0.2, 0.0), 4.0), pans, strict=True):
        told += finder.take(panned(one, x + 0j))
    assert kinds(told) == ["moving start", "crossed once"]


def test_where_the_view_is_lost_nothing_is_told_and_what_has_begun_ends() -> None:
    finder, told = EventFinder("door", load_config(None, SETTINGS)), []
    for n, one in enumerate(predictions(straight(0.1, 0.6, 0.2, 0.0), 3.6)):
        told += finder.take(panned(one, 0j, found=n < 40))
    assert kinds(told) == ["moving start", "moving end"]
    assert told[-1].why == {"ended": "the view was lost"}
    assert {one.note for one in finder.watched()} == {"suspended"}


def test_each_view_of_a_camera_has_its_own_zones() -> None:
    views = [f"views.{name}.picture='{name}.png'" for name in ("first", "second")]
    config = load_config(None, [*SETTINGS, *views, "zones.yard.view=second"])
    finder = EventFinder("door", config)
    told = []
    for n, one in enumerate(predictions(straight(0.1, 0.6, 0.1, 0.0), 6.0)):
        told += finder.take(panned(one, 0j, view="first" if n < 60 or n >= 120 else "second"))
        assert {each.name for each in finder.watched()} == ({"gate"} if n < 60 or n >= 120 else {"yard"})
    assert kinds(told) == ["moving start", "moving end"]
    assert told[-1].why == {"ended": "another view applies now"}


def test_a_picture_that_goes_bad_ends_what_moved_and_nothing_begins_while_it_lasts() -> None:
    finder = EventFinder("door", load_config(None, SETTINGS))
    way = straight(0.35, 0.6, 0.05, 0.0)
    before = [event for one in predictions(way, 2.0) for event in finder.take(one)]
    assert kinds(before) == ["moving start"]
    during = [
        event
        for n in range(50, 100)
        for event in finder.take_bad(
            bad_picture(n, capture_ns=START_NS + n * 40_000_000, for_s=(n - 20) / 25, state="dark")
        )
    ]
    assert kinds(during) == ["moving end", "dark start"]
    assert during[0].why == {"ended": "the image is dark"}
    after = [event for one in predictions(way, 2.0, begins=4.0) for event in finder.take(one)]
    assert kinds(after) == ["dark end", "moving start"]
    assert after[0].start == during[1].id
    assert after[0].for_s == pytest.approx(79 / 25)
    assert kinds(finder.end("the stream has ended")) == ["moving end"]


def test_a_network_without_dense_motion_and_the_end_of_a_stream_end_a_fault() -> None:
    finder = EventFinder("door", load_config(None, SETTINGS))
    assert kinds(finder.take_bad(bad_picture(1))) == ["covered start"]
    assert kinds(finder.take(prediction(2, capture_ns=2000))) == ["covered end"]
    assert kinds(finder.take_bad(bad_picture(3, capture_ns=3000))) == ["covered start"]
    assert kinds(finder.end("the stream has ended")) == ["covered end"]


def test_frames_in_the_same_millisecond_are_no_new_beginning() -> None:
    finder, told = EventFinder("door", load_config(None, SETTINGS)), []
    for one in predictions(straight(0.1, 0.6, 0.2, 0.0), 2.0):
        told += finder.take(one)
        told += finder.take(msgspec.structs.replace(one, capture_ns=one.capture_ns + 1000))
    assert kinds(told) == ["moving start"]


ROAD = Pinhole(height_m=6.0, down_deg=30.0, aspect=0.75)
CORNERS = [(-3.0, 6.0), (3.0, 6.0), (3.0, 14.0), (-3.0, 14.0)]


def drives(metres_a_second: float, sight_offset: complex | None = None) -> Iterator[Prediction]:
    """What goes from left to right, 9 m ahead; ``sight_offset`` is how far the camera was pushed since."""
    for n in range(50):
        x = -3.0 + metres_a_second * n / 25
        seen = ROAD.seen(ROAD.place(x, 9.0), ROAD.velocity(x, 9.0, metres_a_second, 0.0))
        left, top, width, height = seen.box
        seen = msgspec.structs.replace(seen, was=[seen.box])
        if sight_offset is None:
            yield prediction(n, capture_ns=START_NS + n * 40_000_000, things=[seen], past=PAST)
        else:
            box = (left + sight_offset.real, top + sight_offset.imag / 0.75, width, height)
            seen = msgspec.structs.replace(seen, box=box)
            one = prediction(n, capture_ns=START_NS + n * 40_000_000, things=[seen], past=PAST)
            yield msgspec.structs.replace(one, sight=sight(offset=sight_offset))


@pytest.mark.parametrize("pushed", [None, 0j, 0.1 + 0.15j])
def test_events_tell_metres_a_second_and_rules_ask_for_them(pushed: complex | None) -> None:
    """Also where the camera has been pushed: things are judged where they were in the view."""
    ground = {"size": [640, 480], "points": [ROAD.share(*corner) for corner in CORNERS], "metres": CORNERS}
    zone = {"points": [[0.3, 0.2], [0.7, 0.2], [0.7, 1.0], [0.3, 1.0]]}
    rules = {
        f"over{least}": {"kind": "entered", "zone": "road", "min_speed_m_s": least} for least in (1, 3, 5)
    }
    config = load_config(None, [], {"ground": {"road": ground}, "zones": {"road": zone}, "rules": rules})
    finder, shown, told = EventFinder("door", config), [], []
    for one in drives(4.0, pushed):
        told += finder.take(one)
        shown.append(finder.ground_speeds(one))
    assert [one.rule for one in told if one.kind == "entered"] == ["over1", "over3"]
    for event in told:
        if event.kind == "entered":
            assert event.speed_m_s == pytest.approx(4.0, rel=0.03)
            assert event.speed_m_s_error == pytest.approx(0.3 * 4.0, rel=0.2)
    assert all(each[1].m_s == pytest.approx(4.0, rel=0.03) for each in shown[:30])
    lost = msgspec.structs.replace(next(drives(4.0, 0j)), sight=sight(found=False))
    assert finder.ground_speeds(lost) == {}
    assert EventFinder("door", load_config(None, SETTINGS)).ground_speeds(next(drives(4.0))) == {}


def test_a_model_with_classes_of_its_own_tells_them_also_without_dense_motion_and_without_zones() -> None:
    finder, told = EventFinder("door", load_config(None, [])), []
    flicker = ["open", "closed", "static", "closed", "open"]
    for n in range(150):
        label = "closed" if n < 50 else "open" if n < 100 else flicker[n % 5]
        top = [(label, 0.9), ("pan_left", 0.1)]
        told += finder.take(
            prediction(n, capture_ns=START_NS + n * 80_000_000, top=top, past=PAST, things=None)
        )
    assert [(one.phase, one.why["label"]) for one in told] == [
        ("start", "closed"),
        ("end", "closed"),
        ("start", "open"),
    ]
    (end,) = finder.end("the stream has ended")
    assert end.start == told[-1].id


def test_the_camera_motions_of_the_shipped_model_are_no_labels() -> None:
    finder = EventFinder("door", load_config(None, []))
    for n in range(100):
        top = [("pan_left", 0.9), ("static", 0.1)]
        assert finder.take(prediction(n, capture_ns=START_NS + n * 80_000_000, top=top, past=PAST)) == []


def test_a_label_of_before_a_bad_picture_or_a_restart_has_ended_with_it() -> None:
    for happens in ("bad", "session"):
        finder, told = EventFinder("door", load_config(None, [])), []
        for n in range(60):
            session = 2 if happens == "session" and n >= 30 else 1
            at_ns = START_NS + n * 80_000_000
            if happens == "bad" and n == 30:
                told += finder.take_bad(bad_picture(n, capture_ns=at_ns, state="dark"))
            else:
                top = [("open", 0.9)]
                told += finder.take(prediction(n, capture_ns=at_ns, top=top, past=PAST, session=session))
        assert [one for one in kinds(told) if "label" in one] == ["label start", "label end", "label start"]


SHIPPED = ("--set", "inference.checkpoint=motion_resnet18")
BARE = (*SHIPPED, "--set", "sink.record=false", "--set", "evidence.folder=''")
"""Events and nothing else."""
GATE = ("--line", "gate=0.5,0.15,0.5,0.95")


STREET = (
    *GATE,
    *("--zone", "road=0.05,0.6,0.95,0.6,0.95,0.95,0.05,0.95"),
    *("--zone", "street=0.05,0.05,0.95,0.05,0.95,0.98,0.05,0.98"),
    *("--set", "rules.over={kind='crossed', line='gate'}"),
    *("--set", "rules.road={kind='moving', zone='road'}"),
    *("--set", "rules.halt={kind='stopped', zone='street', for_s=1.5}"),
)


@pytest.fixture(scope="module")
def street() -> Iterator[tuple[Outcome, list[dict[str, Any]]]]:
    """What is left of a run of the demo's first twelve seconds, and its events."""
    with tempfile.TemporaryDirectory(prefix="kvq-") as name:
        events = Path(name) / "new" / "events.jsonl"
        with Pipeline(Path(name), *BARE, *STREET, "--frames", "300", "--events", str(events)) as run:
            outcome = run.finish(200.0)
        assert outcome.code == 0, outcome.told()
        yield outcome, [json.loads(line) for line in events.read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_who_passes_in_the_demo_is_told_and_counted(
    street: tuple[Outcome, list[dict[str, Any]]],
) -> None:
    """A car, a person and a taxi go right, a van goes left."""
    outcome, lines = street
    crossed = [(line["why"]["way"], line["phase"]) for line in lines if line["kind"] == "crossed"]
    assert sorted(crossed) == [("backward", "once")] * 3 + [("forward", "once")]
    starts, ends = (
        [one for one in lines if (one["kind"], one["phase"]) == ("moving", phase)]
        for phase in ("start", "end")
    )
    assert sorted(one["start"] for one in ends) == sorted(one["id"] for one in starts)
    counted = outcome.stream("demo")["events"]
    assert counted == {"crossed": len(crossed), "moving": len(starts), "stopped": 1}
    assert set(lines[0]) >= {"id", "time", "stream_id", "kind", "phase", "zone", "thing", "direction_deg"}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_taxi_that_stops_in_the_demo_is_told_and_nobody_else(
    street: tuple[Outcome, list[dict[str, Any]]],
) -> None:
    """It brakes from 8.6 to 9.0 s, and drives on at 10.8 s; three others pass, and balloons rise."""
    start, end = (line for line in street[1] if line["kind"] == "stopped")
    assert (start["phase"], end["phase"], end["start"]) == ("start", "end", start["id"])
    assert start["direction_deg"] == pytest.approx(0, abs=5)
    assert end["for_s"] == pytest.approx(10.8 - 8.8, abs=0.3)
    assert "why" not in end


@pytest.mark.slow
def test_zones_follow_a_camera_that_was_pushed(place: Path) -> None:
    """A still scene that jumps by a tenth of the picture after four seconds."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    scene = cv2.resize(noise, (640, 480), interpolation=cv2.INTER_CUBIC)
    film = place / "pushed.mp4"
    with av.open(film, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for n in range(220):
            left = 100 if n < 100 else 132
            picture = np.ascontiguousarray(scene[100:340, left : left + 320])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
        container.mux(stream.encode(None))
    events = place / "events.jsonl"
    with Pipeline(place, *BARE, *GATE, "--source", str(film), "--events", str(events)) as run:
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    sights = [line["sight"] for line in outcome.predictions if "sight" in line]
    assert all(one["found"] for one in sights)
    assert sights[10]["offset"] == pytest.approx([0, 0], abs=0.01)
    assert sights[-1]["offset"] == pytest.approx([-0.1, 0], abs=0.01)
    start, end = (json.loads(line) for line in events.read_text().splitlines())
    assert (start["kind"], start["phase"], end["start"]) == ("camera_moved", "start", start["id"])
    assert start["why"]["shift"] == pytest.approx([-0.1, 0], abs=0.02)
    assert end["why"] == {"ended": "the stream has ended"}


EARLY = ("--zone", "all=0,0,1,0,1,1,0,1", "--frames", "40")


@pytest.mark.slow
def test_events_alone_may_go_to_standard_output(place: Path) -> None:
    with Pipeline(place, *BARE, *EARLY, "--events", "-") as run:
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    start, end = _lines(outcome)
    assert (start["kind"], start["phase"], end["start"]) == ("moving", "start", start["id"])
    assert "Summary" in outcome.err


@pytest.mark.slow
def test_a_full_disk_ends_the_events_and_nothing_else(place: Path) -> None:
    with Pipeline(place, *BARE, *EARLY, "--events", "/dev/full") as run:
        outcome = run.finish()
    assert outcome.code == 3, outcome.told()
    assert outcome.stream("demo")["rendered"] == 40
    assert "events are no longer written: /dev/full: can't be written: no space left" in outcome.out
    assert "events" in outcome.report["lost"]


def _lines(outcome: Outcome) -> list[dict[str, object]]:
    return [json.loads(line) for line in outcome.out.splitlines()]


def test_what_is_gone_or_is_another_one_ends_and_counts_anew() -> None:
    finder = EventFinder("door", load_config(None, SETTINGS))
    way = straight(0.1, 0.6, 0.2, 0.0)
    first = [event for one in predictions(way, 2.6) for event in finder.take(one)]
    assert kinds(first) == ["moving start", "crossed once"]
    gate = "lines.gate.points=[[0.5, 0.1], [0.5, 0.9]]"
    (end,) = finder.replace_watch(load_config(None, [gate]).watched())
    assert (end.kind, end.phase, end.start) == ("moving", "end", first[0].id)
    assert end.why == {"ended": "the rules were changed"}
    assert [(one.name, one.note, one.is_lit) for one in finder.watched()] == [("gate", "", False)]
    again = [event for one in predictions(way, 0.6, 2.6) for event in finder.take(one)]
    assert again == [], "the zone is gone"


@pytest.mark.parametrize(
    "other",
    [
        [],
        ["zones.porch.points=[[0.0, 0.0], [0.1, 0.0], [0.1, 0.1]]"],
        ["zones.yard.streams=['door', 'garden']"],
        ["rules.visitor.kind=entered", "rules.visitor.zone=garden"],
    ],
)
def test_what_is_the_same_goes_on_as_if_nothing_had_been_replaced(other: list[str]) -> None:
    """Things, view and label; and a replay tells the same."""
    settings = [*SETTINGS, "rules.motion={kind='moving', zone='yard', cool_down_s=600}"]
    settings += ["rules.gone={kind='stopped', zone='yard', of='zone', for_s=1}"]
    watch = load_config(None, settings).watched()
    log: list[LogPart] = []
    finder, told = EventFinder("door", load_config(None, settings), lambda _, part: log.append(part)), []
    unmoved: list[Event] = []
    for n, one in enumerate(predictions(straight(0.1, 0.6, 0.2, 0.0, ends=3.0), 8.0)):
        if n in (60, 66, 180):  # before, in and after the crossing; while the belt stands
            unmoved += finder.replace_watch(load_config(None, [*settings, *other]).watched())
            assert finder.replace_watch(watch) == []
        pushed = panned(one, 0.3 + 0j) if n < 190 else panned(one, 0j)
        told += finder.take(msgspec.structs.replace(pushed, top=[("open", 0.9)]))
    assert unmoved == []
    assert sorted(kinds(told)) == [
        "camera_moved start",
        "crossed once",
        "label start",
        "moving end",
        "moving start",
        "stopped start",
    ]
    assert [one.note for one in finder.watched() if one.name == "gate"] == ["0 forward, 1 back"]
    chunk = Chunk("door", START_NS, START_NS + 8 * 10**9, pack(log))
    assert list(Replay(watch).events([chunk])) == told


def test_ground_that_is_new_ends_nothing_and_counts_from_now_on() -> None:
    ground = {"size": [640, 480], "points": [ROAD.share(*corner) for corner in CORNERS], "metres": CORNERS}
    zone = {"points": [[0.3, 0.2], [0.7, 0.2], [0.7, 1.0], [0.3, 1.0]]}
    rules = {kind: {"kind": kind, "zone": "road"} for kind in ("entered", "moving", "left")}
    without = {"zones": {"road": zone}, "rules": rules}
    finder, told = EventFinder("door", load_config(None, [], without)), []
    measured = load_config(None, [], {**without, "ground": {"road": ground}}).watched()
    for n, one in enumerate(drives(4.0)):
        if any(event.kind == "entered" for event in told) and n < 45:
            assert finder.replace_watch(measured) == []
        told += finder.take(one)
    known = {event.kind: event.speed_m_s for event in told if event.phase != "end"}
    assert known["entered"] is None
    assert known["left"] == pytest.approx(4.0, rel=0.03)
    assert kinds(told).count("moving start") == 1
