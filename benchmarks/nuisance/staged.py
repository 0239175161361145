"""Minutes of a fixed camera with passers-by whose truth is known, under one nuisance at a time."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image
from pipeline.base.moving_thing import Thing
from pipeline.training.evaluation.corruptions import h264
from pipeline.video.actors import Actor, Path, draw_actors, find_movers
from pipeline.video.demo import render
from pipeline.video.pose import HEIGHT, WIDTH, Pose

FPS = 10
_EVERY_S = 12.0
_LOOKS = ("walker", "red car", "other walker", "blue van")
_MIDDLE = Pose(720.0, 788.0, 1.0)
_NOISE = 3.0
_GROUP = 50
"""Frames that go through the video encoder at once."""
Nuisance = Callable[[Image, float, np.random.Generator], Image]


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture.

    Attributes:
        image: ``(480, 640, 3)`` uint8.
        time_ns: When it was taken.
        truth: What moves by itself, as a perfect tracker would report it in the reference view.
    """

    image: Image
    time_ns: int
    truth: list[Thing]


def filmed(canvas: Image, nuisance: str, seconds: float) -> Iterator[Shown]:
    """Films a canvas with somebody who passes every twelve seconds.

    Args:
        canvas: Painted or photographed, ``(1080, 1440, 3)``.
        nuisance: One of ``NUISANCES``.
        seconds: How long.
    """
    rng = np.random.default_rng(0)
    actors = _passers(seconds, np.random.default_rng(1))
    plain = (_picture(canvas, actors, nuisance, n / FPS, rng) for n in range(round(seconds * FPS)))
    pictures = _compressed(plain, rng) if nuisance == "compression" else plain
    for number, image in enumerate(pictures):
        at_s = number / FPS
        truth = [
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
        yield Shown(image, round(at_s * 1e9), truth)


def _passers(seconds: float, rng: np.random.Generator) -> list[Actor]:
    actors = []
    for number in range(int(seconds / _EVERY_S)):
        look = _LOOKS[number % len(_LOOKS)]
        goes_left = look == "blue van"
        speed = (rng.uniform(150, 260) if "a" in look and "walker" not in look else rng.uniform(60, 95)) * (
            -1 if goes_left else 1
        )
        begins_s = 4.0 + number * _EVERY_S
        start = _MIDDLE.x + (1 if goes_left else -1) * (WIDTH / 2 + 120)
        foot = _MIDDLE.y + rng.uniform(110, 210)
        actors.append(Actor(look, Path((start - speed * begins_s, foot), (speed, 0.0))))
    return actors


def _picture(
    canvas: Image, actors: list[Actor], nuisance: str, at_s: float, rng: np.random.Generator
) -> Image:
    pose, far = _MIDDLE, _SHAKES.get(nuisance, 0.0)
    if far:
        shaken = _MIDDLE.shaken(at_s)
        x, y = pose.x + far * (shaken.x - pose.x), pose.y + far * (shaken.y - pose.y)
        pose = Pose(x, y, pose.scale, far * shaken.angle)
    image = render(canvas, pose)
    if nuisance == "wind":
        image = _wind(image, at_s, rng)
    draw_actors(image, actors, at_s, pose)
    if nuisance in _EFFECTS:
        image = _EFFECTS[nuisance](image, at_s, rng)
    return _clipped(image + rng.normal(0, _NOISE, image.shape))


def _compressed(pictures: Iterator[Image], rng: np.random.Generator) -> Iterator[Image]:
    group: list[Image] = []
    for picture in pictures:
        group.append(picture)
        if len(group) == _GROUP:
            yield from h264(group, rng)
            group = []
    if group:
        yield from h264(group, rng)


# -- nuisances -------------------------------------------------------------------------------------


def _wind(image: Image, at_s: float, rng: np.random.Generator) -> Image:
    """The upper left and a bush at the right sway by up to four pixels, each place with its own phase."""
    row, column = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    sways = np.exp(-(((column - 110) / 130) ** 2 + ((row - 110) / 100) ** 2))
    sways += np.exp(-(((column - 540) / 70) ** 2 + ((row - 340) / 60) ** 2))
    gust = 0.6 + 0.4 * math.sin(0.7 * at_s)
    x = column + 4 * gust * sways * np.sin(5.1 * at_s + column / 37 + row / 53)
    y = row + 2 * gust * sways * np.sin(6.7 * at_s + column / 41)
    swayed = cv2.remap(image, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
    return np.asarray(swayed, np.uint8)


def _rain(image: Image, at_s: float, rng: np.random.Generator) -> Image:
    """Streaks that are others in each picture, before a picture that has lost contrast."""
    streaks = np.zeros((HEIGHT, WIDTH), np.uint8)
    for x, y, length in rng.uniform((0, -40, 10), (WIDTH, HEIGHT, 40), (120, 3)).astype(int).tolist():
        cv2.line(streaks, (x, y), (x - length // 5, y + length), 90, 1, cv2.LINE_AA)
    return _clipped(0.85 * image.astype(np.float32) + 18 + streaks[..., None])


def _shadows(image: Image, at_s: float, rng: np.random.Generator) -> Image:
    """Shadows of clouds with soft edges cross the whole picture every ten seconds."""
    row, column = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    middle = -400 + (at_s % 10) * 150
    edge = (column + 60 * np.sin(row / 70) - middle) / 40
    dark = 1 / (1 + np.exp(-(edge + 5))) - 1 / (1 + np.exp(-(edge - 5)))
    return _clipped(image * (1 - 0.45 * dark[..., None]))


def _headlights(image: Image, at_s: float, rng: np.random.Generator) -> Image:
    """Night; the cone of a car that is not in the picture sweeps over the ground every six seconds."""
    row, column = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    turn = (at_s % 6) / 3
    cone = np.exp(-(((column - (turn * 1000 - 200)) / 110) ** 2 + ((row - 350) / 70) ** 2))
    night = 0.22 * image.astype(np.float32)
    return _clipped(night + (0.75 * image + 50) * cone[..., None])


def _infrared(image: Image, at_s: float, rng: np.random.Generator) -> Image:
    """Every eight seconds the camera changes between day and infrared, with an exposure that settles."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    is_infrared, since_s = int(at_s // 8) % 2 == 1, at_s % 8
    settles = 1 + (0.5 if at_s >= 8 else 0.0) * math.exp(-since_s / 0.4)
    shown = (30 + 0.8 * grey[..., None].repeat(3, axis=2)) if is_infrared else image.astype(np.float32)
    return _clipped(shown * settles)


def _clipped(values: npt.NDArray[np.floating]) -> Image:
    return np.asarray(np.clip(values, 0, 255), np.uint8)


_SHAKES = {"shake": 1.0, "strong shake": 3.0}
"""How much further than in the demo tour, whose camera shakes by about three pixels."""
_EFFECTS: dict[str, Nuisance] = {
    "rain": _rain,
    "shadows of clouds": _shadows,
    "headlights at night": _headlights,
    "infrared switch": _infrared,
}
NUISANCES = ("none", *_EFFECTS, "wind", *_SHAKES, "compression")
