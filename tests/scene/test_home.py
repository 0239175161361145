import itertools
import math

import cv2
import numpy as np
import pytest

from pipeline.base.sight import AT_HOME, Similarity
from pipeline.scene.dense_motion import Array, DenseMotion
from pipeline.scene.home import Found, Home, KeptView, find

ROWS, COLUMNS, CHANNELS = 24, 32, 16
ASPECT = 0.75
CORNERS = (0j, 1 + 0j, 1 + 0.75j, 0.75j)


def scene(seed: int = 0) -> Array:
    """Keys of a scene twice as wide and high as a picture: smooth, and different everywhere."""
    noise = np.random.default_rng(seed).normal(size=(2 * ROWS, 2 * COLUMNS, CHANNELS)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 0.8), np.float32)


def seen(around: Array, similarity: Similarity = AT_HOME, noise: float = 0.0, seed: int = 1) -> Array:
    """Keys of a picture in which the places of the middle of the scene are where a similarity puts them."""
    row, column = np.mgrid[0:ROWS, 0:COLUMNS]
    places = (column + 0.5) / COLUMNS + 1j * (row + 0.5) * ASPECT / ROWS
    there = (places - similarity.offset) / similarity.factor
    x = (there.real * COLUMNS - 0.5 + COLUMNS / 2).astype(np.float32)
    y = (there.imag * ROWS / ASPECT - 0.5 + ROWS / 2).astype(np.float32)
    channels = [
        cv2.remap(np.ascontiguousarray(around[..., c]), x, y, cv2.INTER_LINEAR) for c in range(CHANNELS)
    ]
    keys = np.stack(channels, axis=2) + np.random.default_rng(seed).normal(
        0, noise + 1e-6, (ROWS, COLUMNS, CHANNELS)
    )
    return np.asarray(keys / np.linalg.norm(keys, axis=2, keepdims=True), np.float32)


def off(found: Similarity, truth: Similarity) -> float:
    return max(abs(found(corner) - truth(corner)) for corner in CORNERS)


def at(shift: complex, scale: float = 1.0, turn_deg: float = 0.0) -> Similarity:
    factor = scale * complex(math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg)))
    middle = 0.5 + 0.5j * ASPECT
    return Similarity(factor, middle - factor * middle + shift)


def still(camera: Similarity = AT_HOME, *, valid: bool = True) -> DenseMotion:
    """Motion whose camera goes from the new frame to the past one by a similarity in picture widths."""
    factor, middle = camera.factor, 0.5 + 0.5j * ASPECT
    x, y = 2 * camera(middle).real - 1, 2 * camera(middle).imag / ASPECT - 1
    matrix = [[factor.real, -factor.imag * ASPECT, x], [factor.imag / ASPECT, factor.real, y]]
    return DenseMotion(
        moving=np.zeros((2, 2), np.float32),
        flow=np.zeros((1, 2, 2, 2), np.float32),
        uncertainty=np.ones((1, 2, 2), np.float32),
        camera=np.array([matrix], np.float32),
        valid=np.array([valid]),
        history_ms=[40.0],
        aspect=ASPECT,
    )


@pytest.mark.parametrize(
    "truth",
    [AT_HOME, at(0.2 + 0j), at(-0.13 - 0.07j), at(0j, 1.15), at(0j, 0.85), at(0.05j, 1.0, 8.0)],
    ids=str,
)
def test_a_view_is_found_wherever_the_camera_looks(truth: Similarity) -> None:
    around = scene()
    found = find(KeptView(seen(around), ASPECT), seen(around, truth, noise=0.05), ASPECT)
    assert found is not None
    assert off(found.similarity, truth) < 0.02
    assert found.share > 0.8


def test_a_view_is_not_found_in_another_scene_or_in_a_picture_of_nothing() -> None:
    view = KeptView(seen(scene()), ASPECT)
    for seed in range(5, 15):
        assert find(view, seen(scene(seed)), ASPECT) is None
    flat = np.full((ROWS, COLUMNS, CHANNELS), CHANNELS**-0.5, np.float32)
    assert find(view, flat, ASPECT) is None


def test_a_view_is_found_where_a_third_of_it_is_covered() -> None:
    around = scene()
    keys = seen(around, at(0.06 + 0j))
    keys[:, : COLUMNS // 3] = seen(scene(9))[:, : COLUMNS // 3]
    found = find(KeptView(seen(around), ASPECT), keys, ASPECT)
    assert found is not None
    assert off(found.similarity, at(0.06 + 0j)) < 0.02


def test_views_of_other_grids_are_compared() -> None:
    around = scene()
    coarse = seen(around).reshape(ROWS // 2, 2, COLUMNS // 2, 2, CHANNELS).mean(axis=(1, 3))
    coarse /= np.linalg.norm(coarse, axis=2, keepdims=True)
    found = find(KeptView(coarse, ASPECT), seen(around, at(0.1 + 0j)), ASPECT)
    assert isinstance(found, Found)
    assert off(found.similarity, at(0.1 + 0j)) < 0.02


def test_between_two_looks_the_camera_carries_the_view_on() -> None:
    around = scene()
    home = Home({"gate": KeptView(seen(around), ASPECT)})
    assert home.sight(0, [None], still(valid=False), 0) is None
    home.look(0, seen(around), ASPECT, 0)
    step = at(0.01 - 0.005j, 1.002, 0.3)
    truth = AT_HOME
    for n in range(1, 5):
        truth = truth.then(step)
        assert not home.is_due(n * 40_000_000)
        sight = home.sight(n, [n - 1], still(step.inverse()), n * 40_000_000)
        assert sight is not None
        assert sight.found
        assert off(sight.similarity, truth) < 1e-3


def test_nothing_adds_up() -> None:
    """A camera that seems to creep, as flow errors make it, stays where the reference view is."""
    around = scene()
    home = Home({"gate": KeptView(seen(around), ASPECT)})
    creep = at(0.001 + 0j)
    for n in range(250):
        sight = home.sight(n, [n - 1 if n else None], still(creep.inverse(), valid=n > 0), n * 40_000_000)
        if home.is_due(n * 40_000_000):
            home.look(n, seen(around, noise=0.05, seed=n), ASPECT, n * 40_000_000)
    assert sight is not None
    assert off(sight.similarity, AT_HOME) < 0.02  # of 0.25 that it has crept


def test_a_bump_is_followed_with_the_next_look() -> None:
    around, home = scene(), Home({})
    home.look(0, seen(around), ASPECT, 0)
    home.sight(1, [None], still(valid=False), 40_000_000)
    bumped = at(0.12 + 0.03j)
    home.look(1, seen(around, bumped), ASPECT, 40_000_000)
    sight = home.sight(2, [1], still(), 80_000_000)
    assert sight is not None
    assert off(sight.similarity, bumped) < 0.02


def test_a_view_that_is_gone_is_lost_and_found_again() -> None:
    around, found = scene(), list[bool]()
    home = Home({"gate": KeptView(seen(around), ASPECT)})
    for n in range(150):
        sight = home.sight(n, [n - 1 if n else None], still(valid=n > 0), n * 40_000_000)
        found.append(sight is not None and sight.found)
        if home.is_due(n * 40_000_000):
            is_gone = 25 <= n < 100
            home.look(n, seen(scene(3) if is_gone else around, seed=n), ASPECT, n * 40_000_000)
    assert all(found[1:57])
    assert not any(found[59:100])
    assert all(found[106:])


def panned(ways: list[complex]) -> list[tuple[bool, float]]:
    """Whether the view is found, and how far it is off, frame by frame, where it is seen at these shifts."""
    around, seen_at, before = scene(), [], ways[0]
    home = Home({"gate": KeptView(seen(around), ASPECT)})
    for n, way in enumerate(ways):
        camera, before = at(before - way), way
        sight = home.sight(n, [n - 1 if n else None], still(camera, valid=n > 0), n * 40_000_000)
        if sight is not None:
            seen_at.append((sight.found, off(sight.similarity, at(way))))
        if home.is_due(n * 40_000_000):
            home.look(n, seen(around, at(way), seed=n), ASPECT, n * 40_000_000)
    return seen_at


def test_a_view_that_leaves_the_picture_is_lost_at_once_and_found_when_it_comes_back() -> None:
    out = [-0.02 * n + 0j for n in range(46)]
    seen_at = panned([0j, 0j, *out, *out[::-1]])
    shifts = [-way.real for way in [0j, *out, *out[::-1]]]
    assert all(error < 0.05 for _, error in seen_at)
    for (found, _), shift in zip(seen_at, shifts, strict=True):
        assert found if shift < 0.4 else not found or shift < 0.7, shift


@pytest.mark.parametrize("shift", [0.484, 0.516, 0.547])
def test_at_the_edge_of_being_found_a_shake_changes_nothing(shift: float) -> None:
    shakes = np.random.default_rng(0).normal(0, 0.006, 200)
    there = [-0.02 * n + 0j for n in range(24)]
    found = [one for one, _ in panned([*there, *(complex(-shift + x, 0) for x in shakes)])][30:]
    assert sum(one != other for one, other in itertools.pairwise(found)) <= 1


def test_of_several_views_the_one_that_is_seen_counts() -> None:
    gate, yard = scene(), scene(7)
    home = Home({name: KeptView(seen(around), ASPECT) for name, around in (("gate", gate), ("yard", yard))})
    names = []
    for n in range(100):
        sight = home.sight(n, [n - 1 if n else None], still(valid=n > 0), n * 40_000_000)
        names.append(sight.view if sight else None)
        if home.is_due(n * 40_000_000):
            home.look(n, seen(yard if n >= 50 else gate, at(0.03 + 0j), seed=n), ASPECT, n * 40_000_000)
    assert set(names[1:50]) == {"gate"}
    assert set(names[66:]) == {"yard"}


def test_where_two_views_show_the_same_the_current_one_stays() -> None:
    """Now and then something covers half of the picture."""
    around = scene()
    shifts = {"left": 0j, "right": 0.25 + 0j}
    views = {name: KeptView(seen(around, at(shift)), ASPECT) for name, shift in shifts.items()}
    home, names = Home(views), list[str]()
    for n in range(300):
        sight = home.sight(n, [n - 1 if n else None], still(valid=n > 0), n * 40_000_000)
        names += [sight.view] if sight else []
        if home.is_due(n * 40_000_000):
            keys = seen(around, at(0.1 + 0j), seed=n)
            if n % 20 < 10:
                keys[:, : COLUMNS // 2] = seen(scene(9))[:, : COLUMNS // 2]
            home.look(n, keys, ASPECT, n * 40_000_000)
    assert set(names) == {"left"}


def test_without_a_named_view_one_is_taken_when_the_camera_has_settled() -> None:
    """Its first pictures are of something else."""
    around, home, sights = scene(), Home({}), []
    for n in range(150):
        sights.append(home.sight(n, [n - 1 if n else None], still(valid=n > 0), n * 40_000_000))
        if home.is_due(n * 40_000_000):
            home.look(n, seen(around if n > 50 else scene(3), seed=n), ASPECT, n * 40_000_000)
    assert sights[70] is None
    last = sights[-1]
    assert last is not None
    assert (last.view, last.taken_ns, last.found) == ("home", 75 * 40_000_000, True)
    assert off(last.similarity, AT_HOME) < 0.01


@pytest.mark.parametrize("zoom", [1.03, 1 / 1.03])
def test_a_zoom_beyond_all_measure_loses_the_view_and_ends_nothing(zoom: float) -> None:
    around = scene()
    home = Home({"gate": KeptView(seen(around), ASPECT)})
    for n in range(200):
        truth = at(0j, zoom**n)
        sight = home.sight(n, [n - 1 if n else None], still(at(0j, 1 / zoom), valid=n > 0), n * 40_000_000)
        if home.is_due(n * 40_000_000):
            home.look(
                n, seen(around, truth if truth.is_plausible else at(0j, 9.0), seed=n), ASPECT, n * 40_000_000
            )
    assert sight is not None
    assert not sight.found


def test_a_camera_motion_that_is_none_is_not_followed() -> None:
    around = scene()
    home = Home({"gate": KeptView(seen(around), ASPECT)})
    home.sight(0, [None], still(valid=False), 0)
    home.look(0, seen(around), ASPECT, 0)
    for n, camera in enumerate(
        (Similarity(0j, 0j), Similarity(complex("nan"), 0j), Similarity(1e9 + 0j, 0j)), 1
    ):
        sight = home.sight(n, [n - 1], still(camera), n * 40_000_000)
        assert sight is not None
        assert off(sight.similarity, AT_HOME) < 0.01


def test_a_lorry_that_is_taken_for_the_camera_leads_astray_until_the_next_look_only() -> None:
    """For two seconds the picture is full of it: the camera moves with the lorry, and nothing is found."""
    around, worst = scene(), list[float]()
    home = Home({"gate": KeptView(seen(around), ASPECT)})
    passing = at(0.02 + 0j)
    for n in range(100):
        is_full = 30 <= n < 80
        motion = still(passing.inverse() if is_full else AT_HOME, valid=n > 0)
        sight = home.sight(n, [n - 1 if n else None], motion, n * 40_000_000)
        worst.append(off(sight.similarity, AT_HOME) if sight else 0.0)
        if home.is_due(n * 40_000_000):
            home.look(n, seen(scene(3) if is_full else around, seed=n), ASPECT, n * 40_000_000)
    assert max(worst[:30]) < 0.02
    assert max(worst[37:]) < 0.02


def test_a_view_that_is_taken_is_what_the_camera_shows_then() -> None:
    around, turned = scene(), at(0.3 + 0.05j, 1.1)
    home = Home({"gate": KeptView(seen(around), ASPECT)})
    home.look(0, seen(around), ASPECT, 0)
    home.sight(1, [None], still(valid=False), 40_000_000)
    home.look(1, seen(around, turned), ASPECT, 40_000_000)
    home.sight(2, [1], still(), 80_000_000)
    assert home.name == "gate"
    home.look(2, seen(around, turned), ASPECT, 80_000_000, take=True)
    sight = home.sight(3, [2], still(), 120_000_000)
    assert sight is not None
    assert (sight.view, sight.taken_ns, sight.found) == ("gate", 80_000_000, True)
    assert off(sight.similarity, AT_HOME) < 1e-6
    further = turned.then(at(0.1 + 0j))
    home.look(3, seen(around, further, noise=0.05), ASPECT, 320_000_000)
    sight = home.sight(4, [3], still(), 360_000_000)
    assert sight is not None
    assert off(sight.similarity, at(0.1 + 0j)) < 0.02
