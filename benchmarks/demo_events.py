"""Timing of the demo's events: ``python -m benchmarks.demo_events --json FILE``.

The street of the demo tour is processed with two zones and a line, once for each seed, which changes houses
and noise. The true time of each entry, exit, crossing and stop is computed from the actors' paths and
compared with the event's time; events without a counterpart in the script are false.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import hypot
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.nuisance.scoring import Teller
from benchmarks.one_stream import Watching
from pipeline.base.watched import Line, Rule, Watch, Zone
from pipeline.runtime.base import Runtime
from pipeline.runtime.open_runtime import open_runtime
from pipeline.runtime.runtime_options import Options
from pipeline.video.actors import Actor
from pipeline.video.demo import DemoSource
from pipeline.video.pose import HEIGHT, WIDTH, Pose
from pipeline.video.tour import CANVAS_HEIGHT, CANVAS_WIDTH, FPS, TOUR, shots

_STREET = TOUR[0]
_POSES = [shot.pose for shot in shots() if shot.place == 0]
_START = Pose(_STREET.start[0] * CANVAS_WIDTH, _STREET.start[1] * CANVAS_HEIGHT, _STREET.start[2])
_WITHIN_S = 0.3
_KNOWN_FROM_S = 2.0
"""Events before this are not required: objects present at the start have not entered."""
_AREAS = {"pavement": (220.0, 800.0, 460.0, 862.0), "bay": (240.0, 870.0, 430.0, 975.0)}
"""Left, top, right and bottom on the canvas, in pixels."""
_GATE = (470.0, 870.0, 980.0)
"""A line across the road: x, upper and lower end on the canvas, in pixels."""
_STEP_S = 0.01
_TURNS_S = sum(segment.frames for segment in _STREET.segments[:1]) / FPS
"""Time at which the camera starts to follow the taxi."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One scripted event.

    Attributes:
        kind: Event kind.
        place: Name of the zone or line.
        time_s: Time since the start of the street.
        must: Whether it has to be reported.
    """

    kind: str
    place: str
    time_s: float
    must: bool


@dataclass(frozen=True, slots=True)
class Told:
    """Reported events of one run.

    Attributes:
        scripted: Number of events that had to be reported.
        in_time: Number of these reported within 0.3 s of the true time.
        late_ms: Time errors of the reported ones; negative if early.
        missed: Scripted events that were not reported.
        false: Reported events that are not in the script.
    """

    scripted: int
    in_time: int
    late_ms: list[float]
    missed: list[str]
    false: list[str]


def watch() -> Watch:
    """The zones, the line and their rules."""
    zones = {
        name: Zone(
            points=[_share(x, y) for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))]
        )
        for name, (left, top, right, bottom) in _AREAS.items()
    }
    x, upper, lower = _GATE
    return Watch(
        zones=zones,
        lines={"gate": Line(points=[_share(x, upper), _share(x, lower)])},
        rules={
            **{
                f"{kind} {name}": Rule(kind=kind, zone=name) for name in zones for kind in ("entered", "left")
            },
            "crossed gate": Rule(kind="crossed", line="gate"),
            **{f"stopped {name}": Rule(kind="stopped", zone=name) for name in zones},
        },
    )


def script(actors: Sequence[Actor], seconds: float) -> list[Happening]:
    """Events in the zones and at the line, computed from the actors' paths."""
    found = [Happening("camera_moved", "", _TURNS_S, must=True)]
    for actor in actors:
        if actor.is_mover:
            found += list(_passages(actor, seconds))
    return sorted(found, key=lambda happening: happening.time_s)


def _passages(actor: Actor, seconds: float) -> Iterator[Happening]:
    before: set[str] = set()
    was_left: bool | None = None
    went = False
    line, upper, lower = _GATE
    for number in range(round(seconds / _STEP_S)):
        time_s = number * _STEP_S
        x, y = actor.path.at(time_s)
        must = time_s >= _KNOWN_FROM_S and _is_seen(x, y, time_s)
        inside = {
            name
            for name, (left, top, right, bottom) in _AREAS.items()
            if left <= x <= right and top <= y <= bottom
        }
        if number:
            for name in inside - before:
                yield Happening("entered", name, time_s, must)
            for name in before - inside:
                yield Happening("left", name, time_s, must)
            if was_left not in (None, x < line) and upper <= y <= lower:
                yield Happening("crossed", "gate", time_s, must)
            if went and not hypot(*actor.path.velocity_at(time_s)):
                yield from (Happening("stopped", name, time_s, must) for name in inside)
        before, was_left, went = inside, x < line, hypot(*actor.path.velocity_at(time_s)) > 0


def _is_seen(x: float, y: float, time_s: float) -> bool:
    """Whether the camera shows the position at this time, with enough overlap with its first view."""
    pose = _POSES[min(round(time_s * FPS), len(_POSES) - 1)]
    right, down = pose.canvas_to_view() @ (x, y, 1.0)
    away = abs(pose.x - _START.x) * _START.scale / WIDTH
    return bool(0 <= right < WIDTH and 0 <= down < HEIGHT and away < 0.5)


def _share(x: float, y: float) -> tuple[float, float]:
    right, down = _START.canvas_to_view() @ (x, y, 1.0)
    return float(right) / WIDTH, float(down) / HEIGHT


def play(runtime: Runtime, seed: int) -> Teller:
    """Processes the street once."""
    watching, teller = Watching(runtime, judge_health=True), Teller(watch=watch())
    source = DemoSource(seed)
    source.open()
    for number in range(len(_POSES)):
        picture = source.read()
        assert picture is not None
        time_ns = round(number * 1e9 / FPS)
        seen = watching.see(picture.image, time_ns)
        if seen is None:
            teller.cut("the image is bad")
        else:
            things = [thing for thing in seen.scene.things or () if thing.was]
            teller.take(things, time_ns, depth=seen.depth, sight=seen.scene.sight)
    source.close()
    teller.cut("the end")
    return teller


def compare(events: Sequence[tuple[str, str, float]], happenings: Sequence[Happening]) -> Told:
    """Matches events (kind, place, seconds) with the script; each scripted event takes the nearest one."""
    left = list(events)
    late_ms, missed = list[float](), list[str]()
    for happening in happenings:
        near = [
            event
            for event in left
            if event[:2] == (happening.kind, happening.place) and abs(event[2] - happening.time_s) < 1.0
        ]
        best = min(near, key=lambda event: abs(event[2] - happening.time_s), default=None)
        if best is not None:
            left.remove(best)
        if not happening.must:
            continue
        if best is None:
            missed.append(f"{happening.kind} {happening.place} at {happening.time_s:.2f} s")
        else:
            late_ms.append(round((best[2] - happening.time_s) * 1000, 1))
    return Told(
        scripted=sum(happening.must for happening in happenings),
        in_time=sum(abs(one) <= _WITHIN_S * 1000 for one in late_ms),
        late_ms=late_ms,
        missed=missed,
        false=[f"{kind} {place} at {time_s:.2f} s" for kind, place, time_s in left],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    runtime = open_runtime("motion_resnet18", Options(report=lambda line: None))
    results: list[dict[str, Any]] = []
    for seed in range(arguments.runs):
        teller = play(runtime, seed)
        told = compare(
            [
                (event.kind, event.zone or event.line or "", teller.seconds_of(event))
                for event in teller.events
                if event.phase != "end"
            ],
            script(_STREET.actors, len(_POSES) / FPS),
        )
        results.append({"seed": seed, **asdict(told)})
        print(json.dumps(results[-1]), flush=True)
    late = np.abs([ms for one in results for ms in one["late_ms"]])
    print(
        f"{sum(one['in_time'] for one in results)} of {sum(one['scripted'] for one in results)} within"
        f" {_WITHIN_S} s (median {np.median(late):.0f} ms, 95th percentile {np.quantile(late, 0.95):.0f} ms,"
        f" maximum {late.max():.0f} ms), {sum(len(one['false']) for one in results)} false"
    )
    if arguments.json:
        about = {"machine": describe_machine(), "runtime": runtime.describe()}
        arguments.json.write_text(json.dumps({**about, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
