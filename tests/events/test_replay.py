"""Live and over the log: the same events, to the id."""

from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.config import load_config
from pipeline.base.event import Event
from pipeline.base.watched import Watch
from pipeline.events.archive import Archive, Chunk, Wanted
from pipeline.events.motion_log import pack
from pipeline.events.replay import Replay
from pipeline.events.store import Store
from pipeline.scene.rule_input import Cut, Look
from pipeline.wire.messages import PastFrame, Prediction
from tests.base.test_sight import sight
from tests.scene.walking import START_NS, Way, slowing, straight, thing
from tests.wire.peers import bad_picture, prediction
from workers.event_finder import EventFinder

SETTINGS = [
    "zones.yard.points=[[0.3, 0.3], [0.7, 0.3], [0.7, 0.9], [0.3, 0.9]]",
    "lines.gate.points=[[0.5, 0.1], [0.5, 0.95]]",
    *(f"rules.{kind}={{kind='{kind}', zone='yard'}}" for kind in ("moving", "entered", "left")),
    "rules.stayed={kind='stayed', zone='yard', for_s=1}",
    "rules.stopped={kind='stopped', zone='yard', for_s=0.8, cool_down_s=2}",
    "rules.door={kind='label', label='open', for_s=1}",
    "rules.any={kind='label', cool_down_s=1}",
    "rules.ceased={kind='stopped', zone='yard', of='zone', for_s=0.5}",
    "rules.wrong_way={kind='wrong_way', zone='yard', direction_deg=180}",
    "rules.gate={kind='crossed', line='gate', cool_down_s=0.5}",
]
VIEWS = [f"views.{name}.picture='{name}.png'" for name in ("gate", "yard")]
GROUND = [
    "ground.road={size=[640, 480], points=[[0.2, 0.9], [0.8, 0.9], [0.7, 0.4], [0.3, 0.4]],"
    " metres=[[0, 0], [6, 0], [6, 12], [0, 12]]}",
    "rules.fast={kind='moving', zone='yard', min_speed_m_s=2}",
]
CONFIG = load_config(None, [*SETTINGS, *VIEWS, *GROUND, "lines.gate.view='yard'"])
PAST = [PastFrame(0, 0, 80.0)]
SIGHTS = st.builds(
    sight,
    factor=st.complex_numbers(min_magnitude=0.4, max_magnitude=2.5),
    offset=st.complex_numbers(max_magnitude=2.0),
    found=st.booleans(),
    view=st.sampled_from(["gate", "yard"]),
)
places = st.floats(0.05, 0.95)
speeds = st.floats(-0.4, 0.4)


@st.composite
def films(draw: st.DrawFn) -> list[Prediction | str]:
    """Predictions of one stream with pauses, frames without a past, restarts and ends between them."""
    found: list[Prediction | str] = []
    session, clock = 1, draw(st.integers(0, 10**12))
    for _ in range(draw(st.integers(1, 4))):
        ways: dict[int, Way] = {
            number: straight(draw(places), draw(places), draw(speeds), draw(speeds))
            for number in draw(st.sets(st.integers(1, 5), max_size=3))
        }
        for number in draw(st.sets(st.integers(6, 8), max_size=2)):
            at, on = draw(st.floats(0.3, 2.0)), draw(st.floats(0.5, 9.0))
            ways[number] = slowing(0.45, draw(places), draw(speeds), draw(speeds), at, at + on)
        step_ns = draw(st.integers(20_000_000, 140_000_000))
        labels = draw(st.lists(st.sampled_from(["open", "closed", "static"]), min_size=1, max_size=4))
        sights = draw(st.lists(st.none() | SIGHTS, min_size=1, max_size=3))
        for n in range(draw(st.integers(1, 60))):
            seen = [one for k, way in ways.items() if (one := thing(k, way, n * step_ns / 1e9))]
            found.append(
                prediction(
                    n,
                    session=session,
                    capture_ns=START_NS + clock,
                    things=[msgspec.structs.replace(one, was=[one.box]) for one in seen],
                    past=PAST if n else draw(st.sampled_from([PAST, []])),
                    sight=sights[n * len(sights) // 60],
                    top=[(labels[n * len(labels) // 60], 0.8)],
                )
            )
            clock += step_ns + draw(st.integers(-3_000_000, 3_000_000))
        match draw(st.sampled_from(["pause", "session", "back", "end", "killed", "dark", "on"])):
            case "pause":
                clock += draw(st.integers(0, 20 * 10**9))
            case "session":
                session += 1
            case "back":
                clock -= 30 * 10**9
            case "on":
                pass
            case what:
                found.append(what)
    return found


def live(stream_id: str, film: list[Prediction | str]) -> tuple[list[Event], list[Look | Cut]]:
    """What a sink tells, and what it logs; the ends that a restarted sink adopts are not among it."""
    log: list[Look | Cut] = []

    def finder() -> EventFinder:
        return EventFinder(stream_id, CONFIG, lambda _, part: log.append(part))

    now, told = finder(), []
    for part in film:
        if part == "killed":
            now = finder()
        elif isinstance(part, str):
            dark = bad_picture(0, state="dark", for_s=2.0, capture_ns=START_NS)
            told += now.take_bad(dark) if part == "dark" else now.end("the stream has ended")
        else:
            told += now.take(part)
    return told, log


def replayed(log: dict[str, list[Look | Cut]], watch: Watch, length: int) -> list[Event]:
    """Packed in chunks of a length, those of the streams in turn."""
    chunks = [
        (n, Chunk(name, 0, 0, pack(parts[n : n + length])))
        for name, parts in log.items()
        for n in range(0, len(parts), length)
    ]
    return list(Replay(watch).events(chunk for _, chunk in sorted(chunks, key=lambda one: one[0])))


@settings(max_examples=60)
@given(st.lists(films(), min_size=1, max_size=3), st.integers(1, 40))
def test_events_of_the_log_are_those_that_were_told_live(
    several: list[list[Prediction | str]], length: int
) -> None:
    told, logs = {}, {}
    for number, film in enumerate(several):
        told[f"cam{number}"], logs[f"cam{number}"] = live(f"cam{number}", film)
    again = replayed(logs, CONFIG.watched(), length)
    for name, wanted in told.items():
        found = [
            one for one in again if one.stream_id == name and one.why.get("ended") != "the sink was killed"
        ]
        assert found == [one for one in wanted if one.kind != "dark"], "the picture's health is no rule"
    starts = [one.id for one in again if one.phase == "start"]
    ends = [one.start for one in again if one.phase == "end"]
    assert len(set(ends)) == len(ends)
    assert set(ends) <= set(starts)


def walk(seconds: float) -> list[Prediction | str]:
    way = straight(0.1, 0.6, 0.2, 0.0)
    found: list[Prediction | str] = []
    for n in range(round(seconds * 25)):
        seen = thing(1, way, n / 25)
        things = [msgspec.structs.replace(seen, was=[seen.box])] if seen else []
        found.append(prediction(n, capture_ns=START_NS + n * 40_000_000, things=things, past=PAST))
    return found


def test_other_rules_than_those_of_then_find_what_nobody_asked_for(place: Path) -> None:
    told, log = live("front", walk(8))
    assert {one.kind for one in told if one.speed_m_s} == {"moving", "entered", "left", "stayed", "wrong_way"}
    other = load_config(None, ["zones.corner.points=[[0.8, 0.3], [1, 0.3], [1, 0.9], [0.8, 0.9]]"]).watched()
    with Store(place / "store", 1, 10) as store:
        store.write(told, [Chunk("front", START_NS, START_NS + 10**9, pack(log))])
    with Archive(place / "store") as archive:
        assert archive.events() == sorted(told, key=lambda one: one.time)
        found = list(Replay(other).events(archive.chunks(Wanted(stream_id="front"))))
    assert [(one.kind, one.phase, one.zone) for one in found] == [
        ("moving", "start", "corner"),
        ("moving", "end", "corner"),
    ]


def test_a_damaged_chunk_is_named_and_left_out() -> None:
    _, log = live("front", walk(8))
    good = [Chunk("front", n, n + 1, pack(log[n : n + 50])) for n in range(0, len(log), 50)]
    bad = [*good[:1], good[1]._replace(data=good[1].data[:-3]), *good[2:]]
    replay = Replay(CONFIG.watched())
    assert [one.kind for one in replay.events(bad)]
    assert [chunk.start_ns for chunk, _ in replay.damaged] == [50]
    assert replay.looks == len(log) - 1 - 50
