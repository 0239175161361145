"""The cost of scene and events for each frame: ``python -m benchmarks.event_cost --json FILE``.

Synthetic objects move back and forth in the dense motion of a 384x288 frame at 25 fps, with 10 zones, 5 lines
and 20 rules. Each stage is timed separately: CPU time of the process, which excludes other programs, as the
mean over all frames of the fastest round.

things   from dense motion to tracked objects and camera motion
home     the reference view, tracked in every frame and searched for five times a second
rules    processing of a prediction in the sink: reference view, quantisation, zones, lines and rules
health   image health of a 640x480 frame
log      the motion log, packed in chunks of five seconds
store    the whole store thread: queue, packing, SQLite
"""

import argparse
import json
import math
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from benchmarks.machine import describe_machine
from pipeline.base.event import Moment
from pipeline.base.moving_thing import Thing
from pipeline.base.sight import Sight, seen_from_home
from pipeline.base.watched import Line, Rule, RuleKind, Watch, Zone
from pipeline.events.event_keeper import Keeper
from pipeline.events.motion_log import pack
from pipeline.scene.camera_tracker import CameraTracker
from pipeline.scene.dense_motion import PLACE_PX, Array, DenseMotion
from pipeline.scene.health import PictureHealth
from pipeline.scene.home import Home
from pipeline.scene.rule_input import Look, in_steps
from pipeline.scene.stream_rules import StreamRules
from pipeline.scene.things import ThingTracker

THINGS = (0, 5, 20)
_FPS = 25
_ASPECT = 0.75
_GRID = (72, 96)
_KEYS = (36, 48, 64)
_AGES_S = (0.2, 0.1)
_RADIUS = 0.03
_CHUNK = 5 * _FPS
_START_NS = 1_790_000_000 * 10**9

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """Cost of one stage.

    Attributes:
        stage: Name of the stage, as in the description of the module.
        things: Number of objects per frame.
        frames: Number of timed frames.
        ms: Mean time per frame.
        worst_ms: 99th percentile of the time per frame.
    """

    stage: str
    things: int
    frames: int
    ms: float
    worst_ms: float


def watch() -> Watch:
    """Ten zones in two rows, five lines and twenty rules."""
    zones, lines, rules = {}, {}, {}
    for n in range(10):
        left, top = 0.02 + 0.196 * (n % 5), 0.05 + 0.48 * (n // 5)
        corners = [(left, top), (left + 0.17, top), (left + 0.18, top + 0.4), (left + 0.08, top + 0.44)]
        zones[f"zone{n}"] = Zone(points=[*corners, (left, top + 0.4)])
    for n in range(5):
        x = 0.1 + 0.2 * n
        lines[f"line{n}"] = Line(points=[(x, 0.1), (x + 0.05, 0.5), (x, 0.9)])
        rules[f"over{n}"] = Rule(kind="crossed", line=f"line{n}", direction_deg=0.0)
    kinds: list[RuleKind] = ["moving", "entered", "left", "stayed", "wrong_way"]
    for n in range(15):
        kind = kinds[n % 5]
        rules[f"rule{n}"] = Rule(
            kind=kind, zone=f"zone{n % 10}", direction_deg=180.0 if kind == "wrong_way" else None
        )
    return Watch(zones=zones, lines=lines, rules=rules)


class Scene:
    """Discs on independent paths, in separate bands so that few overlap."""

    def __init__(self, things: int) -> None:
        rng = random.Random(things)
        self._paths = [
            (rng.uniform(0.05, 0.2), rng.uniform(0, 7), (n + 0.5) * _ASPECT / things, rng.uniform(1, 3))
            for n in range(things)
        ]

    def motion(self, second: float) -> DenseMotion:
        """Synthetic network output at a time."""
        rows, columns = _GRID
        to_px = np.array([columns, rows / _ASPECT]) * PLACE_PX
        x, y = (np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5)[:, None] / rows * _ASPECT
        noise = np.random.default_rng(round(second * 1000))
        flow = noise.normal(0, 0.1, (len(_AGES_S), 2, rows, columns)).astype(np.float32)
        moving = np.zeros(_GRID, np.float32)
        for path in self._paths:
            middle = np.array(_place(path, second))
            inside = np.hypot(x - middle[0], y - middle[1]) < _RADIUS
            for slot, age in enumerate(_AGES_S):
                flow[slot][:, inside] += ((np.array(_place(path, second - age)) - middle) * to_px)[:, None]
            moving[inside] = 0.95
        return DenseMotion(
            moving=moving,
            flow=flow,
            uncertainty=np.full((len(_AGES_S), rows, columns), 0.2, np.float32),
            camera=np.array([[[1, 0, 0], [0, 1, 0]]] * len(_AGES_S), np.float32),
            valid=np.ones(len(_AGES_S), np.bool_),
            history_ms=[1000 * age for age in _AGES_S],
            aspect=_ASPECT,
        )


def _place(path: tuple[float, float, float, float], second: float) -> tuple[float, float]:
    """Position at a time: back and forth across the frame, and slightly up and down."""
    speed, phase, y, sway = path
    turn = (speed * second + phase) % 2.0
    return 0.03 + 0.94 * min(turn, 2.0 - turn), y + 0.01 * math.sin(sway * second)


def measure(things: int, seconds: float, rounds: int) -> list[Row]:
    """Measures all stages; returns the fastest round of each."""
    turns = [list(_round(things, seconds)) for _ in range(rounds)]
    return [min(stage, key=lambda row: row.ms) for stage in zip(*turns, strict=True)]


def _round(things: int, seconds: float) -> Iterator[Row]:
    """Measures all stages once, one after the other."""
    scene, frames = Scene(things), round(seconds * _FPS)
    at = [(round(n / _FPS * 1e9) + 1, n / _FPS) for n in range(frames)]
    motions = [scene.motion(second) for _, second in at[: 8 * _FPS]]  # limited for memory, and reused

    tracker, camera = ThingTracker(), CameraTracker()
    found: list[list[Thing]] = []

    def follow(n: int) -> None:
        motion = scene.motion(at[n][1]) if n >= len(motions) else motions[n]
        began = time.process_time()
        found.append(tracker.update(motion, at[n][0]))
        camera.update(motion, at[n][0])
        spent.append(time.process_time() - began)

    spent: list[float] = []
    for n in range(frames):
        follow(n)
    yield _row("things", things, spent)

    home, keys = Home({}), _keys()
    sights: list[Sight | None] = []

    def sight(n: int) -> None:
        past = [max(n - round(age * _FPS), 0) for age in _AGES_S]
        sights.append(home.sight(n, past, motions[n % len(motions)], at[n][0]))
        if home.is_due(at[n][0]):
            home.look(n, keys, _ASPECT, at[n][0])

    yield _row("home", things, _timed(sight, range(frames)))

    rules = StreamRules("camera", watch())
    looks: list[Look] = []

    def judge(n: int) -> None:
        seen, view = [thing for thing in found[n] if thing.was], sights[n]
        now = Moment(at[n][0], _START_NS + at[n][0])
        placed = [seen_from_home(thing, view) for thing in seen] if view else seen
        look = in_steps(Look(session=1, now=now, depth=2, things=placed, sight=view))
        rules.take(look)
        looks.append(look)

    yield _row("rules", things, _timed(judge, range(frames)))

    pictures, health = _pictures(), PictureHealth(judge_frozen=True)
    judged = _timed(lambda n: health.look(pictures[n % len(pictures)], at[n][0]), range(frames))
    yield _row("health", things, judged)

    parts = [looks[n : n + _CHUNK] for n in range(0, frames, _CHUNK)]
    packed = [spent / _CHUNK for spent in _timed(pack, parts)]
    yield _row("log", things, packed, frames)

    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        with Keeper(Path(folder) / "store", 1.0, 1024.0) as keeper:
            for look in looks:
                keeper.log("camera", look)
        yield _row("store", things, [(time.process_time() - began) / frames], frames)


def _timed(work: Callable[[T], object], inputs: Sequence[T]) -> list[float]:
    spent = []
    for one in inputs:
        began = time.process_time()
        work(one)
        spent.append(time.process_time() - began)
    return spent


def _row(stage: str, things: int, spent: Sequence[float], frames: int | None = None) -> Row:
    ms = np.array(spent) * 1000
    worst = float(np.quantile(ms, 0.99))
    return Row(stage, things, frames or len(spent), round(float(ms.mean()), 4), round(worst, 4))


def _keys() -> Array:
    """Match keys of a scene with texture everywhere."""
    noise = np.random.default_rng(1).normal(size=_KEYS).astype(np.float32)
    smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), 0.8), np.float32)
    return np.asarray(smooth / np.linalg.norm(smooth, axis=2, keepdims=True), np.float32)


def _pictures() -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """Noisy frames of one scene."""
    rng = np.random.default_rng(2)
    coarse = rng.integers(40, 210, (24, 32, 3), np.uint8)
    scene = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
    noisy = [scene + rng.normal(0, 2, scene.shape) for _ in range(12)]
    return [np.clip(picture, 0, 255).astype(np.uint8) for picture in noisy]


def main() -> None:
    """Prints a table and stores the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=40.0, help="length of each scene")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    rows = []
    print("| stage | moving objects | ms per frame | 99th percentile |\n|---|---|---|---|")
    for things in THINGS:
        for row in measure(things, options.seconds, options.rounds):
            rows.append(asdict(row))
            print(f"| {row.stage} | {row.things} | {row.ms:.3f} | {row.worst_ms:.3f} |", flush=True)
    if options.json:
        result = {"machine": describe_machine(), "rows": rows}
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
