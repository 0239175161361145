from pathlib import Path

import msgspec
import pytest

from pipeline.base.camera_velocity import CameraMotion
from pipeline.base.event import Event
from pipeline.base.moving_thing import Thing
from pipeline.base.picture_state import FAULTS
from pipeline.scene.sentence import (
    IN_PLACE,
    camera_in_words,
    camera_symbol,
    count_in_words,
    counts_by_kind,
    event_in_words,
    health_in_words,
    in_words,
    is_answered,
    run_in_words,
    seen_now,
)


def thing(speed: float, direction_deg: float = 0.0) -> Thing:
    return Thing(
        id=1,
        box=(0.1, 0.1, 0.2, 0.2),
        outline=[],
        speed=speed,
        direction_deg=direction_deg,
        age_ms=0.0,
        score=1.0,
    )


def test_nothing_moves() -> None:
    assert in_words([]) == "nothing moving"


def test_the_fastest_comes_first_and_the_unit_once() -> None:
    assert in_words([thing(0.05, 180), thing(0.12, 359)]) == "2 things moving: right 0.12 widths/s, left 0.05"


def test_one_thing_moves() -> None:
    assert in_words([thing(0.2, 90)]) == "1 thing moving: up 0.20 widths/s"


def test_a_thing_without_way_moves_in_place() -> None:
    assert in_words([thing(0.001)]) == "1 thing moving: in place"
    assert in_words([thing(0.001)] * 3) == "3 things moving: in place"
    assert in_words([thing(0.001), thing(0.1)]) == "2 things moving: right 0.10 widths/s, 1 in place"


def test_three_are_named_and_the_rest_is_counted() -> None:
    text = in_words([thing(speed / 10) for speed in range(1, 6)])
    assert text == "5 things moving: right 0.50 widths/s, right 0.40, right 0.30, 2 more"
    text = in_words([thing(speed / 10) for speed in range(6)])
    assert text == "6 things moving: right 0.50 widths/s, right 0.40, right 0.30, 2 more, 1 in place"


@pytest.mark.parametrize(
    ("degrees", "word"),
    [
        (22, "right"),
        (23, "up-right"),
        (135, "up-left"),
        (225, "down-left"),
        (270, "down"),
        (315, "down-right"),
        (338, "right"),
    ],
)
def test_directions_have_eight_names(degrees: float, word: str) -> None:
    assert in_words([thing(0.1, degrees)]) == f"1 thing moving: {word} 0.10 widths/s"


def test_things_are_counted() -> None:
    assert [count_in_words([thing(0.1)] * n) for n in (0, 1, 2)] == [
        "nothing moving",
        "1 thing moving",
        "2 things moving",
    ]


@pytest.mark.parametrize(
    ("motion", "symbol", "words"),
    [
        ({}, "■", "camera still"),
        ({"speed": 0.019, "zoom": 0.03, "roll_deg": -2.0, "shake": 0.03}, "■", "camera still"),
        ({"speed": 0.1}, "→", "camera pans right"),
        ({"speed": 0.1, "direction_deg": 90.0}, "↑", "camera tilts up"),
        ({"speed": 0.1, "direction_deg": 225.0}, "↙", "camera turns down-left"),
        ({"speed": 0.1, "direction_deg": 350.0}, "→", "camera pans right"),
        ({"zoom": 0.1}, "⊕", "camera zooms in"),
        ({"zoom": -0.1}, "⊖", "camera zooms out"),
        ({"roll_deg": 10.0}, "↺", "camera rolls anticlockwise"),
        ({"roll_deg": -10.0}, "↻", "camera rolls clockwise"),
        ({"speed": 0.08, "zoom": 0.3}, "⊕", "camera zooms in and pans right"),
        ({"speed": 0.3, "zoom": 0.4, "roll_deg": 12.0}, "→", "camera pans right and zooms in"),
        ({"speed": 0.3, "zoom": 0.1, "roll_deg": 3.0}, "→", "camera pans right"),
        ({"speed": 0.03, "shake": 0.1}, "↔", "camera shakes"),
        ({"speed": 0.3, "shake": 0.1}, "→", "camera pans right"),
    ],
)
def test_what_the_camera_does(motion: dict[str, float], symbol: str, words: str) -> None:
    values = {"speed": 0.0, "direction_deg": 0.0, "zoom": 0.0, "roll_deg": 0.0, "shake": 0.0} | motion
    camera = CameraMotion(**values)
    assert (camera_symbol(camera), camera_in_words(camera)) == (symbol, words)


def test_a_camera_that_stands_still_is_not_mentioned() -> None:
    still = CameraMotion(speed=0.0, direction_deg=0.0, zoom=0.0, roll_deg=0.0, shake=0.0)
    pans = msgspec.structs.replace(still, speed=0.2)
    assert seen_now([thing(0.1)], pans) == "1 thing moving: right 0.10 widths/s; camera pans right"
    assert seen_now([thing(0.1)], still) == seen_now([thing(0.1)], None) == in_words([thing(0.1)])


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ((0, {}, None, None), "nothing moved"),
        ((1, {}, 3.0, 0.001), "1 thing moved; longest 3.0 s"),
        ((1, {"up": 2.0}, 3.0, 0.5), "1 thing moved, always up; longest 3.0 s, fastest 0.50 widths/s"),
        (
            (9, {"left": 6.2, "up": 3.8}, 12.44, 0.305),
            "9 things moved, most often left (62% of the time); longest 12.4 s, fastest 0.30 widths/s",
        ),
        (
            (9, {"left": 4.0, "up": 3.0, "down": 3.0}, 5.0, 0.1),
            "9 things moved, most often left (40% of the time); longest 5.0 s, fastest 0.10 widths/s",
        ),
    ],
)
def test_what_was_seen_over_a_run(
    run: tuple[int, dict[str, float], float | None, float | None], words: str
) -> None:
    assert run_in_words(*run) == words


@pytest.mark.parametrize(
    ("kind", "phase", "words"),
    [
        ("moving", "start", "yard: something is moving"),
        ("moving", "end", "yard: nothing is moving any more"),
        ("entered", "once", "yard: something entered, going left"),
        ("left", "once", "yard: something left, going left"),
        ("stayed", "start", "yard: something has stayed for 12 s"),
        ("wrong_way", "start", "yard: something is moving the wrong way, going left"),
        ("signal_back", "once", "yard: frames are arriving again after 12 s"),
        ("latency", "end", "yard: prediction latency was over the limit for 12 s"),
        ("crossed", "end", "yard: crossed end"),
    ],
)
def test_an_event_in_words(kind, phase, words):
    event = Event(
        id="1",
        time="",
        stream_id="door",
        kind=kind,
        phase=phase,
        zone="yard",
        direction_deg=170.0,
        for_s=12.3,
    )
    assert event_in_words(event) == words


@pytest.mark.parametrize(
    ("kind", "words", "over"),
    [
        ("covered", "camera covered", "camera was covered"),
        ("over_exposed", "image overexposed", "image was overexposed"),
        ("signal_lost", "no frames arriving", "no frames were arriving"),
    ],
)
def test_the_health_of_the_picture_in_words(kind, words, over):
    start = Event(id="1", time="", stream_id="door", kind=kind, phase="start")
    end = Event(id="2", time="", stream_id="door", kind=kind, phase="end", start="1", for_s=12.3)
    assert event_in_words(start) == words
    assert event_in_words(end) == f"{over} for 12 s"
    assert health_in_words(kind, 12.3) == f"{words} for 12 s"
    assert health_in_words(kind, 3661.0) == f"{words} for 61 min"


def test_a_camera_that_was_turned_in_words():
    start = Event(id="1", time="", stream_id="door", kind="camera_moved", phase="start")
    end = Event(id="2", time="", stream_id="door", kind="camera_moved", phase="end", start="1", for_s=12.3)
    assert event_in_words(start) == "camera turned away"
    assert event_in_words(end) == "camera was turned away for 12 s"


def test_a_crossing_in_words():
    event = Event(
        id="1", time="", stream_id="door", kind="crossed", phase="once", line="gate", why={"way": "forward"}
    )
    assert event_in_words(event) == "gate: crossed forward"


def test_events_are_counted_in_words():
    assert (
        counts_by_kind({"moving": 2, "crossed": 3, "left": 0, "wrong_way": 1})
        == "crossed 3, moving 2, wrong_way 1"
    )


def test_each_fault_of_a_picture_has_words_of_its_own() -> None:
    about = {"id": "1", "time": "2026-11-29T12:00:00.000Z", "stream_id": "door"}
    for kind in FAULTS:
        for phase in ("start", "end"):
            event = msgspec.convert({**about, "kind": kind, "phase": phase}, Event)
            assert event_in_words(event) != f"{kind} {phase}".replace("_", " "), kind


def test_a_duration_under_half_a_second_is_not_0_s() -> None:
    end = Event(id="2", time="", stream_id="door", kind="latency", phase="end", start="1", for_s=0.4)
    assert event_in_words(end) == "prediction latency was over the limit for less than 1 s"


def test_a_test_message_does_not_read_like_an_event() -> None:
    event = Event(id="1", time="", stream_id="test", kind="entered", phase="once", zone="test")
    assert event_in_words(msgspec.structs.replace(event, why={"test": True})) == "this is a test message"
    assert event_in_words(event) == "test: something entered"


@pytest.mark.parametrize(
    ("kind", "phase", "why", "answered"),
    [
        ("signal_lost", "end", {}, True),
        ("worker_down", "end", {}, True),
        ("signal_lost", "end", {"ended": "the stream has ended"}, False),
        ("signal_lost", "start", {}, False),
        ("covered", "end", {}, False),
    ],
)
def test_the_end_of_an_outage_is_told_by_what_is_back(kind, phase, why, answered) -> None:
    assert is_answered(Event(id="2", time="", stream_id="door", kind=kind, phase=phase, why=why)) == answered


def test_the_reference_of_predictions_names_the_speed_below_which_a_direction_means_nothing() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "predictions.md").read_text()
    assert f"Below a speed of {IN_PLACE}" in page
