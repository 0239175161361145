"""The scene state of one stream as structs, so that another process can continue it.

Each struct has the fields of its class without their leading underscore; a test compares them. Values that
are not finite or have the wrong shape are rejected.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, TypeAlias, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import FrameId
from pipeline.base.picture_state import PictureState
from pipeline.base.sight import Similarity
from pipeline.scene.camera_tracker import CameraTracker
from pipeline.scene.health import PictureHealth
from pipeline.scene.home import Found, Home, KeptView
from pipeline.scene.regions import Region
from pipeline.scene.things import ThingTracker
from pipeline.scene.tracks import Track

Numbers: TypeAlias = npt.NDArray[np.float32]
Places: TypeAlias = npt.NDArray[np.int64]
Samples: TypeAlias = npt.NDArray[np.int16]
Vector: TypeAlias = tuple[float, float]
Box: TypeAlias = tuple[float, float, float, float]
S = TypeVar("S", bound=msgspec.Struct)
_REGION = ("places", "velocities", "moving", "place")
_MOST_PLACES = 4096  # maximum number of rows and of columns


class TrackState(msgspec.Struct):
    """State of ``Track``: its region's fields, then its own."""

    places: Places
    velocities: Numbers
    moving: Numbers
    place: Vector
    first_ns: int
    seen_ns: int
    id: int
    frames: int
    came_ns: int
    box: Box
    flow: Vector
    drift: Vector
    score: float
    whole_places: float
    outline_moved: Vector
    anchor: Vector
    trail: Numbers
    trail_ns: int


class ThingsState(msgspec.Struct):
    """State of ``ThingTracker``."""

    tracks: list[TrackState]
    last_id: int
    time_ns: int
    aspect: float


class CameraState(msgspec.Struct):
    """State of ``CameraTracker``."""

    rates: Numbers | None
    way: float
    time_ns: int


class HomeState(msgspec.Struct):
    """State of ``Home``; ``known`` oldest first."""

    views: dict[str, KeptView]
    name: str
    taken_ns: dict[str, int]
    known: list[tuple[FrameId, Similarity]]
    now: Similarity
    last: Found
    is_carried: bool
    began_ns: int | None
    looked_ns: int | None
    found_ns: int | None
    rival: tuple[str, int]


class StillnessState(msgspec.Struct):
    """State of ``Stillness``."""

    first: Samples | None
    previous: Samples | None
    first_ns: int
    last_ns: int
    frames: int
    difference: float
    floor: float
    ended_s: float
    longest_s: float
    learned_s: float


class HealthState(msgspec.Struct):
    """State of ``PictureHealth``."""

    judge_frozen: bool
    size: tuple[int, int]
    state: PictureState
    since_ns: int
    candidate: PictureState
    candidate_ns: int
    candidate_frames: int
    last_ns: int | None
    learned_s: float
    learned_frames: int
    sharp: float
    contrast: float
    steady: float
    noise: float
    fine: Numbers | None
    view: Numbers | None
    stillness: StillnessState


def things_state(tracker: ThingTracker) -> ThingsState:
    """Reads the state of a thing tracker."""
    return _read(tracker, ThingsState, tracks=[_track_state(track) for track in tracker._tracks])


def restore_things(tracker: ThingTracker, state: ThingsState) -> None:
    """Restores the state of a thing tracker.

    Raises:
        ValueError: The state is invalid.
    """
    tracks = [_track(one) for one in state.tracks]
    _write(tracker, state, tracks=tracks)


def camera_state(tracker: CameraTracker) -> CameraState:
    """Reads the state of a camera tracker."""
    return _read(tracker, CameraState)


def restore_camera(tracker: CameraTracker, state: CameraState) -> None:
    """Restores the state of a camera tracker.

    Raises:
        ValueError: The state is invalid.
    """
    _check(state.rates is None or state.rates.shape == (4,))
    _write(tracker, state)


def home_state(home: Home) -> HomeState:
    """Reads the state of ``Home``: its views, and where they were last found."""
    return _read(home, HomeState, known=list(home._known.items()))


def restore_home(home: Home, state: HomeState) -> None:
    """Restores the state of ``Home``.

    Raises:
        ValueError: The state is invalid.
    """
    _check(all(view.keys.ndim == 3 and view.keys.size for view in state.views.values()))
    _check(not state.views or state.name in state.views)
    _write(home, state, known=OrderedDict(state.known))


def health_state(health: PictureHealth) -> HealthState:
    """Reads the state of image health."""
    return _read(health, HealthState, stillness=_read(health._stillness, StillnessState))


def restored_health(state: HealthState) -> PictureHealth:
    """Restores the state of image health.

    Raises:
        ValueError: The state is invalid.
    """
    health, still = PictureHealth(judge_frozen=state.judge_frozen), state.stillness
    _check(all(one is None or one.ndim == 2 for one in (state.fine, state.view)))
    _check(all(one is None or one.ndim == 3 for one in (still.first, still.previous)))
    _write(health._stillness, still)
    _write(health, state, stillness=health._stillness)
    return health


def _track_state(track: Track) -> TrackState:
    own = {name: getattr(track, name) for name in TrackState.__struct_fields__ if hasattr(track, name)}
    own |= {name: getattr(track.region, name) for name in _REGION}
    own["places"] = track.region.places.astype(np.int64)
    return TrackState(**own, whole_places=track.places)


def _track(state: TrackState) -> Track:
    count = len(state.places)
    _check(state.places.shape == (count, 2) and count > 0)
    _check(int(state.places.min()) >= 0 and int(state.places.max()) < _MOST_PLACES)
    _check(bool((np.diff(state.places[:, 0]) >= 0).all()) and min(state.place) > 0 and state.whole_places > 0)
    _check(state.velocities.shape == (count, 2) and state.moving.shape == (count,))
    _check(state.trail.ndim == 2 and state.trail.shape[1] == 2 and len(state.trail) > 0)
    region = Region(state.places, state.velocities, state.moving, state.place)
    track = Track(region, state.first_ns, state.seen_ns)
    for name in TrackState.__struct_fields__:
        if name not in (*_REGION, "whole_places"):
            setattr(track, name, getattr(state, name))
    track.places = state.whole_places
    return track


def _read(source: object, kind: type[S], **instead: Any) -> S:
    names = (name for name in kind.__struct_fields__ if name not in instead)
    return kind(**{name: getattr(source, f"_{name}") for name in names}, **instead)


def _write(target: object, state: msgspec.Struct, **instead: Any) -> None:
    _check(_is_finite(state))
    for name in state.__struct_fields__:
        setattr(target, f"_{name}", instead.get(name, getattr(state, name)))


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, np.ndarray):
        return bool(np.isfinite(value).all())
    if isinstance(value, complex):
        return math.isfinite(value.real) and math.isfinite(value.imag)
    parts: Iterable[Any] = ()
    if isinstance(value, list | tuple):
        parts = value
    elif isinstance(value, dict):
        parts = value.values()
    elif isinstance(value, msgspec.Struct):
        parts = (getattr(value, name) for name in value.__struct_fields__)
    elif isinstance(value, KeptView):
        parts = (value.keys, value.aspect)
    elif isinstance(value, Found):
        parts = (value.similarity, value.share)
    return all(map(_is_finite, parts))


def _check(is_right: bool) -> None:
    if not is_right:
        raise ValueError("the scene state is invalid")
