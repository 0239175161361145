"""What is counted of things, from exact dense motion of known paths."""

import numpy as np
import pytest

from pipeline.account.stats import ThingStats
from pipeline.base.frame import Frame, FrameId
from pipeline.model.history import Slot
from pipeline.runtime.step import Motion
from tests.scene.moving_discs import AGES_S, GRID, Disc, dense_motion, straight
from workers.inference_scene import Scene, SceneWatcher

FPS = 20


def watched(
    discs: list[Disc], times: list[float], grid: tuple[int, int] = GRID
) -> tuple[ThingStats, list[str]]:
    """The statistics after frames at some times in seconds, and what was advised meanwhile."""
    watcher, stats, advised = SceneWatcher(), ThingStats(), []
    slots = [Slot("key", "entry", 1000 * age) for age in AGES_S]
    for number, t in enumerate(times):
        exact = dense_motion(discs, t, grid=grid)
        motion = Motion(
            moving=exact.moving, flow=exact.flow, uncertainty=exact.uncertainty, camera=exact.camera
        )
        frame = Frame(FrameId("door", 1, 0, number), np.zeros((72, 96, 3), np.uint8), round(t * 1e9))
        depth = sum(slot is not None for slot in slots)
        watcher.count(stats, watcher.look(frame, slots, motion), frame, depth, scored=False)
        advised += [advice] if (advice := watcher.advice()) else []
    return stats, advised


def at_rate(seconds: float) -> list[float]:
    return [number / FPS for number in range(1, round(seconds * FPS) + 1)]


def test_ways_times_and_speeds_of_things_are_counted() -> None:
    left, up = Disc(straight(0.9, 0.2, -0.2)), Disc(straight(0.2, 0.7, 0.0, -0.1))
    stats, _ = watched([left, up], at_rate(3.0))
    assert stats.seen == 2
    assert stats.now == "2 things moving: left 0.20 widths/s, up 0.10"
    assert set(stats.moved_ms) == {"left", "up"}
    assert all(2700 <= ms <= 3000 for ms in stats.moved_ms.values())
    assert stats.longest_ms == pytest.approx(2950, abs=60)
    assert stats.fastest == pytest.approx(0.2, abs=0.003)


def test_a_thing_out_of_sight_is_not_counted_on() -> None:
    def hidden(t: float) -> tuple[float, float]:
        return (0.2 + 0.2 * t, 0.3) if t < 1.5 else (9.0, 9.0)

    (short, _), (long, _) = (watched([Disc(hidden)], at_rate(seconds)) for seconds in (1.45, 1.8))
    assert short.moved_ms == long.moved_ms
    assert short.longest_ms == long.longest_ms


def test_a_pause_is_not_time_in_which_things_moved() -> None:
    times = [*at_rate(1.0), *(60 + t for t in at_rate(0.2))]
    path = lambda t: (0.2 + 0.2 * min(t, 1.0) + 0.2 * max(0, t - 60), 0.3)  # noqa: E731
    assert watched([Disc(path)], times)[0].moved_ms["right"] < 1300


def test_small_things_are_told_of_once_with_what_shows_them_better() -> None:
    small, large = (Disc(straight(0.1, 0.4, 0.05), radius) for radius in (0.03, 0.08))
    (advice,) = watched([small], at_rate(9.0), (36, 48))[1]
    assert advice.startswith("most moving objects are small in the model's input of 192x144 px")
    assert watched([large], at_rate(9.0), (36, 48))[1] == []
    assert watched([small], at_rate(9.0))[1] == []  # 384 px


def test_without_a_past_frame_nothing_is_said() -> None:
    stats = ThingStats()
    frame = Frame(FrameId("door", 1, 0, 1), np.zeros((72, 96, 3), np.uint8), 10**9)
    SceneWatcher().count(stats, Scene([], None), frame, 0, scored=False)
    assert stats.now == ""
    SceneWatcher().count(stats, Scene([], None), frame, 1, scored=False)
    assert stats.now == "nothing moving"


def test_without_dense_motion_nothing_is_said() -> None:
    watcher, stats = SceneWatcher(), ThingStats()
    frame = Frame(FrameId("door", 1, 0, 1), np.zeros((72, 96, 3), np.uint8), 1)
    scene = watcher.look(frame, [None, None], None)
    watcher.count(stats, scene, frame, 0, scored=False)
    assert (scene.things, scene.camera) == (None, None)
    assert stats == ThingStats()
