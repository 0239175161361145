"""What follows a scene, taken from one object and given to another one."""

import dataclasses

import msgspec
import numpy as np
import pytest

from pipeline.base.packing import pack, unpack
from pipeline.scene.camera_tracker import CameraTracker
from pipeline.scene.health import PictureHealth
from pipeline.scene.home import Home
from pipeline.scene.scene_state import (
    CameraState,
    HealthState,
    HomeState,
    StillnessState,
    ThingsState,
    TrackState,
    camera_state,
    health_state,
    restore_camera,
    restore_things,
    restored_health,
    things_state,
)
from pipeline.scene.stillness import Stillness
from pipeline.scene.things import ThingTracker
from pipeline.scene.tracks import Track
from tests.scene.moving_discs import Disc, dense_motion, straight
from tests.scene.staged import covered, noisy, scene

FPS = 20


@pytest.mark.parametrize(
    ("source", "state"),
    [
        (ThingTracker(), ThingsState),
        (CameraTracker(), CameraState),
        (Home({}), HomeState),
        (PictureHealth(judge_frozen=True), HealthState),
        (Stillness(), StillnessState),
    ],
)
def test_nothing_is_left_behind(source: object, state: type[msgspec.Struct]) -> None:
    settings = {"_judge_looks"}  # of the configuration, which the next owner has too
    assert {f"_{name}" for name in state.__struct_fields__} == vars(source).keys() - settings


def test_nothing_of_a_track_is_left_behind() -> None:
    fields = {field.name for field in dataclasses.fields(Track)} - {"region", "places"}
    assert fields == set(TrackState.__struct_fields__) - {
        "velocities",
        "moving",
        "place",
        "places",
        "whole_places",
    }


def test_things_go_on_under_their_ids_and_no_id_comes_twice() -> None:
    discs = [Disc(straight(0.2, 0.3, 0.2)), Disc(straight(0.8, 0.5, -0.2))]
    stays, goes = ThingTracker(), ThingTracker()
    ids = set()
    for number in range(1, 40):
        t = number / FPS
        if number in (5, 20, 30):
            state = unpack(pack(things_state(goes)), ThingsState)
            goes = ThingTracker()
            restore_things(goes, state)
        if number > 25:  # a new one
            discs = [*discs[:2], Disc(straight(0.5 + 0.1 * (t - 1.3), 0.1, 0.1))]
        motion = dense_motion(discs, t)
        expected, moved = (tracker.update(motion, round(t * 1e9)) for tracker in (stays, goes))
        assert moved == expected
        ids |= {thing.id for thing in moved}
    assert ids >= {1, 2}


def test_the_camera_goes_on() -> None:
    stays, goes = CameraTracker(), CameraTracker()
    for number in range(1, 20):
        t = number / FPS
        if number in (3, 10):
            state = unpack(pack(camera_state(goes)), CameraState)
            goes = CameraTracker()
            restore_camera(goes, state)
        motion = dense_motion([], t)
        assert goes.update(motion, round(t * 1e9)) == stays.update(motion, round(t * 1e9))


def test_a_camera_that_was_covered_stays_so_and_is_seen_to_be_free_again() -> None:
    picture = scene(2, 240, 320)
    stays, goes = PictureHealth(judge_frozen=True), PictureHealth(judge_frozen=True)
    states = []
    for number in range(330):
        image = noisy(covered(picture) if 180 <= number < 260 else picture, number)
        if number in (1, 100, 190, 250, 270):
            goes = restored_health(unpack(pack(health_state(goes)), HealthState))
        at_ns = number * 40_000_000
        assert goes.look(image, at_ns) == stays.look(image, at_ns)
        states.append(goes.look(image, at_ns).state)
        stays.look(image, at_ns)
    assert set(states) == {"ok", "covered"}
    assert states[-1] == "ok"


def test_what_can_not_be_is_refused() -> None:
    tracker = ThingTracker()
    for number in range(1, 12):
        tracker.update(dense_motion([Disc(straight(0.2, 0.3, 0.2))], number / FPS), round(number / FPS * 1e9))
    state = things_state(tracker)
    (track,) = state.tracks
    wrong = [
        {"places": track.places[::-1]},
        {"places": track.places - 1000},
        {"places": track.places[:0]},
        {"velocities": track.velocities[:1]},
        {"moving": track.moving[:1]},
        {"trail": track.trail[:, :1]},
        {"box": (0.0, 0.0, float("nan"), 1.0)},
        {"place": (0.0, 0.0)},
    ]
    for change in wrong:
        broken = msgspec.structs.replace(state, tracks=[msgspec.structs.replace(track, **change)])
        with pytest.raises(ValueError, match="scene state is invalid"):
            restore_things(ThingTracker(), broken)
    with pytest.raises(ValueError, match="scene state is invalid"):
        restore_camera(CameraTracker(), CameraState(np.zeros(3, np.float32), 0.0, 1))
    with pytest.raises(ValueError, match="unexpected array"):
        unpack(pack(CameraState(np.zeros(4, np.float64), 0.0, 1)), CameraState)  # type: ignore[arg-type]
