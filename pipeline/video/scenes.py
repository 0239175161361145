"""Draws the scenery of the demo, with detail everywhere.

Each scene function takes the image size and a random generator and returns ``(height, width, 3)`` uint8 BGR;
the same generator state gives the same image.
"""

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image

Field: TypeAlias = npt.NDArray[np.float32]
"""Values of shape ``(height, width)``, float32, 0 to 1."""

Rgb: TypeAlias = tuple[int, int, int]


def fractal(height: int, width: int, rng: np.random.Generator, *, grain: int, roughness: float) -> Field:
    """Fractal noise: octaves of smooth noise, each twice as fine as the one before.

    Args:
        height: Rows.
        width: Columns.
        rng: Random generator.
        grain: Size in px of the coarsest blobs.
        roughness: Weight of each octave relative to the coarser one, 0 to 1.
    """
    total = np.zeros((height, width), np.float32)
    weight, cell = 1.0, float(grain)
    while cell >= 2:
        knots = rng.random((int(height / cell) + 3, int(width / cell) + 3), np.float32)
        # A shift by a random part of a cell keeps the octaves' grids from lining up.
        shift = rng.random(2) * cell
        place = np.array([[cell, 0, -shift[0]], [0, cell, -shift[1]]], np.float32)
        total += weight * cv2.warpAffine(knots, place, (width, height), flags=cv2.INTER_CUBIC)
        weight, cell = weight * roughness, cell / 2
    low, high = float(total.min()), float(total.max())
    return np.asarray((total - low) / (high - low), np.float32)


def colour(values: Field, stops: tuple[tuple[float, Rgb], ...]) -> Image:
    """Colours a field with a gradient.

    Args:
        values: Positions on the gradient.
        stops: Positions from 0 to 1 with their colours, red, green, blue.
    """
    where = [stop for stop, _ in stops]
    steps = np.linspace(0, 1, 256)
    channels = [np.interp(steps, where, [rgb[c] for _, rgb in stops]) for c in (2, 1, 0)]
    table = np.stack(channels, axis=-1).astype(np.uint8)
    index = np.asarray(cv2.convertScaleAbs(values, alpha=255.0))
    return np.asarray(cv2.LUT(cv2.merge([index, index, index]), table[None]), np.uint8)


def shade(image: Image, light: Field) -> Image:
    """Multiplies an image by a light field with values from 0 to 2."""
    factor = cv2.merge([light, light, light])
    return np.asarray(cv2.multiply(image, factor, dtype=cv2.CV_8U), np.uint8)


def hillshade(height: Field, steepness: float) -> Field:
    """Light from the upper left on a relief, about 1 on flat ground."""
    slope = cv2.filter2D(height, -1, np.array([[-2, -1, 0], [-1, 0, 1], [0, 1, 2]], np.float32))
    return np.asarray(np.clip(1 + steepness * slope, 0.35, 1.6), np.float32)


def archipelago(height: int, width: int, rng: np.random.Generator) -> Image:
    """Islands from above: sea, beaches, woods, rock and snow."""
    relief = fractal(height, width, rng, grain=300, roughness=0.5)
    stops = (
        (0.00, (10, 40, 92)),
        (0.38, (24, 98, 160)),
        (0.47, (66, 176, 190)),
        (0.49, (238, 214, 160)),
        (0.53, (122, 160, 70)),
        (0.66, (44, 104, 52)),
        (0.78, (120, 104, 88)),
        (0.88, (236, 240, 244)),
        (1.00, (255, 255, 255)),
    )
    return shade(colour(relief, stops), hillshade(relief, 9.0))


def autumn_leaves(height: int, width: int, rng: np.random.Generator) -> Image:
    """Overlapping leaves, from large to small: the "dead leaves" model, with statistics like photographs."""
    palette = ((196, 74, 28), (226, 140, 38), (240, 192, 84), (142, 44, 32), (96, 110, 50), (232, 222, 186))
    image: Image = np.full((height, width, 3), (30, 36, 60), np.uint8)
    sizes = np.sort(12 / rng.random(2600) ** 0.55)[::-1]
    for size in np.clip(sizes, 8, 110):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        base = np.array(palette[rng.integers(len(palette))][::-1]) * rng.uniform(0.6, 1.12)
        turn, slim = float(rng.uniform(0, 180)), float(rng.uniform(0.42, 0.8))
        for scale, light in ((1.0, 0.5), (0.93, 1.0), (0.6, 1.1)):
            axes = (max(1, int(size * scale)), max(1, int(size * slim * scale)))
            tone = np.clip(base * light, 0, 255).tolist()
            cv2.ellipse(image, centre, axes, turn, 0, 360, tone, -1, cv2.LINE_AA)
        tip = np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn))]) * size * 0.9
        ends = (np.array(centre) - tip).astype(int), (np.array(centre) + tip).astype(int)
        vein = np.clip(base * 0.65, 0, 255).tolist()
        cv2.line(image, ends[0].tolist(), ends[1].tolist(), vein, max(1, int(size / 22)), cv2.LINE_AA)
    return image


def stained_glass(height: int, width: int, rng: np.random.Generator) -> Image:
    """A window of coloured glass: one pane around each of many random points, with lead between them."""
    palette = ((22, 74, 140), (30, 136, 148), (240, 186, 62), (206, 62, 58), (112, 46, 120), (238, 226, 204))
    points = rng.random((520, 2)) * (height, width)
    seeds = np.full((height, width), 255, np.uint8)
    seeds[points[:, 0].astype(int), points[:, 1].astype(int)] = 0
    _, panes = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    tones = np.array(palette)[rng.integers(len(palette), size=int(panes.max()) + 1)][:, ::-1]
    tones = tones * rng.uniform(0.65, 1.15, (len(tones), 1))
    image: Image = np.clip(tones, 0, 255).astype(np.uint8)[panes]
    cells = panes.astype(np.float32)
    edges = cv2.morphologyEx(cells, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    inside = cv2.distanceTransform((~edges).astype(np.uint8), cv2.DIST_L2, 5)
    # Brighter towards the middle of a pane, almost black in the lead.
    light = np.interp(inside, [0, 3, 5, 30], [0.12, 0.15, 0.8, 1.12]).astype(np.float32)
    light *= 0.8 + 0.4 * fractal(height, width, rng, grain=48, roughness=0.7)
    return shade(image, light)


def mountains(height: int, width: int, rng: np.random.Generator) -> Image:
    """Several mountain ridges at dusk, under clouds."""
    sky = np.linspace(0, 0.75, height, dtype=np.float32)[:, None] + np.zeros((1, width), np.float32)
    clouds = fractal(height, width, rng, grain=220, roughness=0.62)
    dusk = ((0.0, (38, 36, 92)), (0.35, (150, 74, 120)), (0.6, (244, 138, 96)), (1.0, (255, 226, 160)))
    image = colour(np.clip(sky + 0.75 * (clouds - 0.45), 0, 1), dusk)
    rock = fractal(height, width, rng, grain=90, roughness=0.7)
    for layer in range(6):
        depth = layer / 5
        ridge = fractal(4, width, rng, grain=int(380 - 220 * depth), roughness=0.5)[1]
        top = height * (0.22 + 0.13 * layer) + (ridge - 0.5) * height * 0.34
        below = np.arange(height, dtype=np.float32)[:, None] - top[None, :].astype(np.float32)
        near, far = np.array((14, 50, 58)), np.array((196, 112, 140))
        tone = far + (near - far) * depth
        stops = ((0.0, tuple(tone * 0.45)), (0.5, tuple(tone)), (1.0, tuple(np.minimum(tone * 1.9, 255))))
        # The upper edges of the ridges are lit.
        rim = np.clip(1 - below / 90, 0, 1) ** 2
        light = np.clip(1.3 * cv2.flip(rock, layer % 3 - 1) - 0.25 + 0.45 * rim, 0, 1)
        cv2.copyTo(colour(light, stops), (below >= 0).astype(np.uint8), image)
    return image


def marble(height: int, width: int, rng: np.random.Generator) -> Image:
    """Veins of stone: noise distorted by noise."""
    bend = [fractal(height, width, rng, grain=260, roughness=0.5) for _ in range(2)]
    rows, columns = np.indices((height, width), np.float32)
    stone = fractal(height, width, rng, grain=190, roughness=0.5)
    bent = cv2.remap(
        stone,
        columns + 420 * (bend[0] - 0.5),
        rows + 420 * (bend[1] - 0.5),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    bands = np.asarray(0.5 + 0.5 * np.sin(26 * bent), np.float32)
    stops = (
        (0.0, (12, 34, 54)),
        (0.3, (20, 92, 106)),
        (0.55, (70, 170, 150)),
        (0.8, (238, 210, 150)),
        (1.0, (252, 246, 232)),
    )
    return shade(colour(bands, stops), hillshade(np.asarray(bent, np.float32), 6.0))


def city_at_night(height: int, width: int, rng: np.random.Generator) -> Image:
    """Rows of houses with lit windows."""
    haze = fractal(height, width, rng, grain=160, roughness=0.6)
    image = colour(haze, ((0.0, (14, 16, 44)), (0.5, (52, 38, 92)), (1.0, (150, 82, 128))))
    lamps = ((255, 214, 128), (255, 240, 200), (250, 170, 80), (150, 200, 240))
    for row in range(7):
        base = int(height * (0.3 + 0.13 * row))
        left = int(-rng.integers(60))
        while left < width:
            wide, tall = int(rng.integers(50, 130)), int(rng.integers(90, 270))
            wall = np.array((60, 40, 34)) * rng.uniform(0.5, 1.5) + row * np.array((4, 4, 7))
            cv2.rectangle(image, (left, base - tall), (left + wide, height), wall.tolist(), -1)
            cv2.rectangle(
                image, (left, base - tall), (left + wide, base - tall + 5), (wall * 1.9).tolist(), -1
            )
            cv2.line(image, (left, base - tall), (left, height), (wall * 0.4).tolist(), 2)
            _light_windows(image, (left, base - tall, wide), lamps, rng)
            left += wide + int(rng.integers(-6, 16))
    return image


def _light_windows(
    image: Image, house: tuple[int, int, int], lamps: tuple[Rgb, ...], rng: np.random.Generator
) -> None:
    left, top, wide = house
    step = int(rng.integers(11, 18))
    for y in range(top + 14, min(top + 330, image.shape[0]), step + 3):
        for x in range(left + 7, left + wide - 9, step):
            lit = rng.random() < 0.5
            tone = np.array(lamps[rng.integers(len(lamps))][::-1]) * (rng.uniform(0.5, 1.0) if lit else 0.12)
            cv2.rectangle(image, (x, y), (x + step - 7, y + step - 4), tone.tolist(), -1)


SCENES: dict[str, Callable[[int, int, np.random.Generator], Image]] = {
    "archipelago": archipelago,
    "autumn leaves": autumn_leaves,
    "stained glass": stained_glass,
    "mountains": mountains,
    "marble": marble,
    "city at night": city_at_night,
}
"""Functions that draw the scenes, by name."""
