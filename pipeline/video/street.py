"""Draws the demo's street as a fixed camera sees it."""

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image
from pipeline.video.scenes import Rgb, colour, fractal, shade

_Tone: TypeAlias = Rgb | npt.NDArray[np.float64]
"""Red, green, blue; clipped to 0 to 255 when drawn."""

HOUSES_FOOT, KERB, ROAD_END = 800, 846, 962
"""Rows of the image: foot of the houses, upper and lower edge of the road."""
_WALLS: tuple[Rgb, ...] = (
    (214, 158, 118),
    (176, 190, 178),
    (226, 200, 150),
    (150, 166, 190),
    (202, 132, 120),
)
_ROOFS: tuple[Rgb, ...] = ((128, 62, 52), (92, 74, 82), (146, 84, 58))
_AWNINGS: tuple[Rgb, ...] = ((186, 52, 58), (36, 110, 116), (222, 164, 54))
_GLASS: Rgb = (92, 122, 142)


def street(height: int, width: int, rng: np.random.Generator) -> Image:
    """Houses with shops, a pavement on both sides, and a road between them."""
    sky = np.linspace(0, 1, height, dtype=np.float32)[:, None] + np.zeros((1, width), np.float32)
    clouds = fractal(height, width, rng, grain=200, roughness=0.6)
    blue = ((0.0, (84, 140, 196)), (0.5, (150, 190, 220)), (1.0, (240, 240, 232)))
    image = colour(np.clip(0.4 * sky + 1.1 * (clouds - 0.35), 0, 1), blue)
    left, walls = -int(rng.integers(40, 90)), rng.permutation(_WALLS)
    for number in range(8):
        wide, tall = int(rng.integers(210, 300)), int(rng.integers(200, 262))
        wall = walls[number % len(walls)] * rng.uniform(0.85, 1.08)
        _house(image, left, wide, tall, wall, rng)
        left += wide
    _ground(image)
    grain = fractal(height, width, rng, grain=20, roughness=0.7)
    stains = fractal(height, width, rng, grain=90, roughness=0.65)
    return shade(image, (0.74 + 0.46 * grain) * (0.76 + 0.52 * stains))


def _house(
    image: Image, left: int, wide: int, tall: int, wall: npt.NDArray[np.float64], rng: np.random.Generator
) -> None:
    """A house with two floors: windows above, a shop or a door with windows below."""
    top, right = HOUSES_FOOT - tall, left + wide
    eaves = np.array([(left - 4, top), (left + 26, top - 54), (right - 26, top - 54), (right + 4, top)])
    cv2.fillPoly(image, [eaves], _bgr(_ROOFS[rng.integers(len(_ROOFS))]), cv2.LINE_AA)
    for row in range(top - 44, top, 11):
        cv2.line(image, (left + 10, row), (right - 10, row), _bgr((74, 46, 42)), 1, cv2.LINE_AA)
    cv2.rectangle(image, (left, top), (right, HOUSES_FOOT), _bgr(wall), -1)
    cv2.rectangle(image, (left, top), (right, top + 6), _bgr(wall * 0.6), -1)
    cv2.line(image, (left, top), (left, HOUSES_FOOT), _bgr(wall * 0.55), 3)
    cv2.rectangle(image, (left, HOUSES_FOOT - 14), (right, HOUSES_FOOT), _bgr(wall * 0.55), -1)
    count = int(rng.integers(2, 4))
    step = wide / count
    for place in range(count):
        _window(image, int(left + step * (place + 0.5)), top + 22, 46, 66, rng)
    floor = HOUSES_FOOT - 108
    if rng.random() < 0.55:
        _shop(image, left + 18, right - 18, floor, rng)
    else:
        for place in range(count):
            middle = int(left + step * (place + 0.5))
            if place == count // 2:
                cv2.rectangle(
                    image, (middle - 24, floor + 14), (middle + 24, HOUSES_FOOT), _bgr((72, 50, 40)), -1
                )
                cv2.rectangle(image, (middle - 15, floor + 24), (middle + 15, floor + 52), _bgr(_GLASS), -1)
            else:
                _window(image, middle, floor + 16, 48, 60, rng)


def _window(image: Image, middle: int, top: int, wide: int, tall: int, rng: np.random.Generator) -> None:
    left, right = middle - wide // 2, middle + wide // 2
    cv2.rectangle(image, (left - 5, top - 5), (right + 5, top + tall + 5), _bgr((238, 230, 214)), -1)
    glass = np.array(_GLASS) * rng.uniform(0.6, 1.25)
    cv2.rectangle(image, (left, top), (right, top + tall), _bgr(glass), -1)
    gleam = np.array([(left, top + tall // 2), (left, top), (left + wide // 2, top)])
    cv2.fillPoly(image, [gleam], _bgr(glass * 1.25), cv2.LINE_AA)
    cv2.line(image, (middle, top), (middle, top + tall), _bgr((238, 230, 214)), 3)
    cv2.line(image, (left, top + tall // 3), (right, top + tall // 3), _bgr((238, 230, 214)), 3)
    cv2.rectangle(image, (left - 9, top + tall + 5), (right + 9, top + tall + 11), _bgr((150, 140, 126)), -1)


def _shop(image: Image, left: int, right: int, top: int, rng: np.random.Generator) -> None:
    cv2.rectangle(image, (left, top + 20), (right, HOUSES_FOOT - 6), _bgr((58, 48, 46)), -1)
    cv2.rectangle(image, (left + 8, top + 28), (right - 8, HOUSES_FOOT - 20), _bgr((132, 144, 140)), -1)
    for _ in range(9):  # goods in the window
        x, size = int(rng.integers(left + 18, right - 18)), int(rng.integers(6, 15))
        tone = np.array(_AWNINGS[rng.integers(len(_AWNINGS))]) * rng.uniform(0.6, 1.2)
        cv2.circle(image, (x, HOUSES_FOOT - 22 - size), size, _bgr(tone), -1, cv2.LINE_AA)
    awning = _AWNINGS[rng.integers(len(_AWNINGS))]
    stripe = (right - left + 24) / 12
    for place in range(12):
        edge = left - 12 + place * stripe
        corners = np.array(
            [(edge + 6, top), (edge + 6 + stripe, top), (edge + stripe, top + 34), (edge, top + 34)]
        )
        cv2.fillPoly(
            image, [corners.astype(np.int32)], _bgr(awning if place % 2 else (240, 234, 220)), cv2.LINE_AA
        )


def _ground(image: Image) -> None:
    height, width = image.shape[:2]
    cv2.rectangle(image, (0, HOUSES_FOOT), (width, KERB), _bgr((158, 150, 140)), -1)
    for x in range(0, width, 48):
        cv2.line(image, (x, HOUSES_FOOT), (x - 22, KERB - 8), _bgr((124, 116, 108)), 2, cv2.LINE_AA)
    cv2.rectangle(image, (0, KERB - 8), (width, KERB), _bgr((198, 192, 180)), -1)
    cv2.rectangle(image, (0, KERB), (width, ROAD_END), _bgr((86, 86, 94)), -1)
    for x in range(0, width, 110):
        corners = np.array([(x + 4, 900), (x + 58, 900), (x + 54, 907), (x, 907)])
        cv2.fillPoly(image, [corners], _bgr((214, 210, 196)), cv2.LINE_AA)
    cv2.rectangle(image, (0, ROAD_END), (width, ROAD_END + 10), _bgr((204, 198, 186)), -1)
    cv2.rectangle(image, (0, ROAD_END + 10), (width, height), _bgr((170, 156, 140)), -1)
    for x in range(0, width + 120, 64):
        cv2.line(image, (x, ROAD_END + 10), (x - 60, height), _bgr((132, 120, 108)), 2, cv2.LINE_AA)
    for y in (ROAD_END + 44, ROAD_END + 86):
        cv2.line(image, (0, y), (width, y), _bgr((132, 120, 108)), 2, cv2.LINE_AA)


def _bgr(rgb: _Tone) -> tuple[int, int, int]:
    red, green, blue = (int(min(max(part, 0), 255)) for part in rgb)
    return blue, green, red
