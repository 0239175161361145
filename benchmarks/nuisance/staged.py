"""Staged videos of a fixed camera, with annotated passers-by or empty, under one nuisance at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.nuisance import effects
from benchmarks.nuisance.effects import Effect, Random
from pipeline.base.frame import Image
from pipeline.base.moving_thing import Thing
from pipeline.training.evaluation.corruptions import as_picture
from pipeline.video.actors import Actor, Path, draw_actors, find_movers
from pipeline.video.demo import render
from pipeline.video.pose import WIDTH, Pose

FPS = 10.0
_EVERY_S = 12.0
_LOOKS = ("walker", "red car", "other walker", "blue van")
_MIDDLE = Pose(720.0, 788.0, 1.0)
_NOISE = 3.0
_TREE = (
    Actor("trunk", Path((0.0, 0.0)), is_mover=False),
    Actor("leaves 1", Path((-62.0, -148.0)), is_mover=False, sway_px=3),
    Actor("leaves 2", Path((56.0, -138.0)), is_mover=False, sway_px=3),
    Actor("leaves 3", Path((-2.0, -198.0)), is_mover=False, sway_px=4),
)
"""As in the demo tour, relative to the foot of the trunk."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One frame.

    Attributes:
        image: ``(480, 640, 3)`` uint8.
        time_ns: Time of the frame.
        truth: Moving objects in the reference view, as from a perfect tracker.
    """

    image: Image
    time_ns: int
    truth: list[Thing]


def filmed(
    canvas: Image, nuisance: str, seconds: float, *, seed: int = 0, fps: float = FPS, is_empty: bool = False
) -> Iterator[Shown]:
    """Films a canvas with a passer-by every 12 s.

    Args:
        canvas: The painted or photographed scene, ``(1080, 1440, 3)``.
        nuisance: One of ``NUISANCES``.
        seconds: Length of the video.
        seed: Random seed of the passers-by and the nuisance.
        fps: Frames per second.
        is_empty: Whether to leave out the passers-by.
    """
    rng, of_nuisance = np.random.default_rng((seed, 0)), np.random.default_rng((seed, 2))
    actors = [] if is_empty else _passers(seconds, np.random.default_rng((seed, 1)))
    trees = _trees(of_nuisance) if nuisance == "wind" else []
    effect = _EFFECTS[nuisance](of_nuisance) if nuisance in _EFFECTS else None
    since_s, count = float(of_nuisance.uniform(0, 60)), round(seconds * fps)

    def picture(at_s: float) -> Image:
        pose = _pose(_SHAKES.get(nuisance, 0.0), at_s + since_s)
        image = render(canvas, pose)
        draw_actors(image, trees, at_s, pose)
        if trees and effect:
            image = effect(image, at_s)  # the swaying parts are behind the passers-by
        draw_actors(image, actors, at_s, pose)
        if effect and not trees:
            image = effect(image, at_s)
        return as_picture(image + rng.normal(0, _NOISE, image.shape))

    pictures = (picture(n / fps) for n in range(count))
    for number, image in enumerate(effects.low_rate(pictures) if nuisance == "compression" else pictures):
        at_s = number / fps
        yield Shown(image, round(at_s * 1e9), _truth(actors, at_s))


def _pose(far: float, at_s: float) -> Pose:
    shaken = _MIDDLE.shaken(at_s)
    x, y = _MIDDLE.x + far * (shaken.x - _MIDDLE.x), _MIDDLE.y + far * (shaken.y - _MIDDLE.y)
    return Pose(x, y, _MIDDLE.scale, far * shaken.angle)


def _truth(actors: list[Actor], at_s: float) -> list[Thing]:
    return [
        Thing(
            id=which + 1,
            box=mover.box,
            outline=[],
            speed=mover.speed,
            direction_deg=mover.direction_deg,
            age_ms=0.0,
            score=1.0,
            was=[mover.box],
        )
        for which, actor in enumerate(actors)
        for mover in find_movers([actor], at_s, _MIDDLE)
    ]


def _passers(seconds: float, rng: Random) -> list[Actor]:
    actors = []
    for number in range(int(seconds / _EVERY_S)):
        look = _LOOKS[number % len(_LOOKS)]
        goes_left = look == "blue van"
        speed = rng.uniform(60, 95) if "walker" in look else rng.uniform(150, 260)
        begins_s = 4.0 + number * _EVERY_S
        start = _MIDDLE.x + (1 if goes_left else -1) * (WIDTH / 2 + 120)
        foot = _MIDDLE.y + rng.uniform(110, 210)
        velocity = (-speed if goes_left else speed, 0.0)
        actors.append(Actor(look, Path((start - velocity[0] * begins_s, foot), velocity)))
    return actors


def _trees(rng: Random) -> list[Actor]:
    """A tree whose crown is within the zone."""
    x, y = rng.uniform((_MIDDLE.x - 130, 950), (_MIDDLE.x + 130, 1010))
    return [
        Actor(
            part.look,
            Path((part.path.start[0] + x, part.path.start[1] + y)),
            is_mover=False,
            sway_px=part.sway_px,
        )
        for part in _TREE
    ]


_SHAKES = {"shake": 1.0, "strong shake": 3.0}
"""Shake as a multiple of that of the demo tour's camera, which is about 3 px."""
_EFFECTS: dict[str, Callable[[Random], Effect]] = {
    "rain": effects.rain,
    "shadows of clouds": effects.cloud_shadows,
    "shadow of a passer": effects.cast_shadow,
    "headlights at night": effects.headlights,
    "infrared switch": effects.infrared,
    "wind": effects.wind,
}
NUISANCES = ("none", *_EFFECTS, *_SHAKES, "compression")
