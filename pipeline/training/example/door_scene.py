"""Draws the scenes of `door_clips`: a wall with a door that is open by a given amount.

Images are ``(height, width, 3)`` uint8 BGR, drawn at twice the size of the clip for anti-aliasing. All random
numbers come from the generator passed in.
"""

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image

Colour: TypeAlias = tuple[int, int, int]
Floats: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Panel:
    """One leaf of a door.

    Attributes:
        image: Image of the leaf.
        left_px: Position in the doorway when closed, from the left.
        travel_px: Motion to the right and down until the door is open.
    """

    image: Image
    left_px: int
    travel_px: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scene:
    """A wall with a door.

    Attributes:
        wall: The image without the doorway.
        inside: The view through the doorway.
        panels: The leaves of the door.
        corner_px: Left and top of the doorway.
    """

    wall: Image
    inside: Image
    panels: tuple[Panel, ...]
    corner_px: tuple[int, int]

    @property
    def travel_px(self) -> float:
        """Largest motion of a panel along one axis."""
        return max(abs(step) for panel in self.panels for step in panel.travel_px)

    def draw(self, openness: float) -> Image:
        """The scene with its door open by a share from 0 to 1."""
        doorway = self.inside.copy()
        height, width = doorway.shape[:2]
        for panel in self.panels:
            right, down = (openness * step for step in panel.travel_px)
            shift = np.array([[1, 0, panel.left_px + right], [0, 1, down]], np.float32)
            cover = np.full(panel.image.shape[:2], 255, np.uint8)
            leaf = cv2.warpAffine(panel.image, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
            mask = cv2.warpAffine(cover, shift, (width, height))[..., None].astype(np.float32) / 255
            doorway = np.asarray(leaf * mask + doorway * (1 - mask), np.uint8)
        picture = self.wall.copy()
        left, top = self.corner_px
        picture[top : top + height, left : left + width] = doorway
        return picture


def new_scene(rng: np.random.Generator, width: int, height: int) -> Scene:
    """A random scene: wall, room, and position, size and kind of door.

    Shutters open upwards; sliding doors part in the middle.
    """
    parts = rng.random() < 0.5
    door_width = round(width * (rng.uniform(0.6, 0.8) if parts else rng.uniform(0.4, 0.65)))
    door_height = round(height * rng.uniform(0.5, 0.7))
    left = round(rng.uniform(0.06, 0.94) * (width - door_width))
    ground = round(height * rng.uniform(0.78, 0.92))
    top = ground - door_height
    wall = _wall(rng, width, height, ground)
    _frame(rng, wall, (left, top, door_width, door_height))
    inside = _inside(rng, door_width, door_height)
    paint = _colour(rng, 60, 220, bright=25)
    panels: tuple[Panel, ...]
    if parts:
        half = door_width // 2
        panels = (
            Panel(_leaf(rng, half, door_height, paint, slats=False), 0, (-half, 0)),
            Panel(_leaf(rng, door_width - half, door_height, paint, slats=False), half, (half, 0)),
        )
    else:
        panels = (Panel(_leaf(rng, door_width, door_height, paint, slats=True), 0, (0, -door_height)),)
    return Scene(wall, inside, panels, (left, top))


def noise(rng: np.random.Generator, width: int, height: int) -> Floats:
    """Cloud noise with mean 0 and standard deviation 1, ``(height, width)``."""
    total = np.zeros((height, width), np.float32)
    for octave in range(2, 8):
        cells = rng.standard_normal((2**octave, 2**octave)).astype(np.float32)
        total += 0.65**octave * cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray((total - total.mean()) / total.std(), np.float32)


def _colour(rng: np.random.Generator, low: int, high: int, bright: float = 12) -> Colour:
    grey = rng.uniform(low, high)
    blue, green, red = (int(np.clip(grey + rng.normal(0, bright), 10, 245)) for _ in range(3))
    return blue, green, red


def _shade(colour: Colour, by: float) -> Colour:
    blue, green, red = (int(np.clip(part * by, 0, 255)) for part in colour)
    return blue, green, red


def _dirty(image: Image, clouds: Floats, strength: float) -> Image:
    return np.asarray(np.clip(image + strength * clouds[..., None], 0, 255), np.uint8)


def _wall(rng: np.random.Generator, width: int, height: int, ground: int) -> Image:
    base = _colour(rng, 90, 200)
    wall = np.full((height, width, 3), base, np.uint8)
    if rng.random() < 0.6:
        brick_w, brick_h = int(rng.integers(36, 70)), int(rng.integers(16, 30))
        for row in range(height // brick_h + 1):
            for column in range(-1, width // brick_w + 1):
                corner = (column * brick_w + row % 2 * brick_w // 2, row * brick_h)
                brick = _shade(base, rng.uniform(0.72, 0.95))
                end = (corner[0] + brick_w - 3, corner[1] + brick_h - 3)
                cv2.rectangle(wall, corner, end, brick, -1)
    else:
        board = int(rng.integers(20, 60))
        for x in range(0, width, board):
            cv2.rectangle(wall, (x, 0), (x + board - 2, height), _shade(base, rng.uniform(0.85, 1.1)), -1)
    floor = _colour(rng, 70, 160)
    cv2.rectangle(wall, (0, ground), (width, height), floor, -1)
    vanish = width * rng.uniform(0.3, 0.7)
    for x in np.linspace(-width, 2 * width, 19):
        near = (round(x), height)
        far = (round(vanish + (x - vanish) * 0.55), ground)
        cv2.line(wall, far, near, _shade(floor, 0.8), 2, cv2.LINE_AA)
    cv2.line(wall, (0, ground), (width, ground), _shade(floor, 0.6), 4)
    return _dirty(wall, noise(rng, width, height), rng.uniform(4, 14))


def _frame(rng: np.random.Generator, wall: Image, box: tuple[int, int, int, int]) -> None:
    left, top, width, height = box
    edge = int(rng.integers(8, 18))
    colour = _colour(rng, 60, 230)
    cv2.rectangle(wall, (left - edge, top - edge), (left + width + edge, top + height), colour, -1)
    light, dark = _shade(colour, 1.15), _shade(colour, 0.6)
    cv2.rectangle(wall, (left - edge, top - edge), (left + width + edge, top + height), light, 2)
    cv2.rectangle(wall, (left - 2, top - 2), (left + width + 1, top + height), dark, 3)


def _inside(rng: np.random.Generator, width: int, height: int) -> Image:
    room = np.full((height, width, 3), _colour(rng, 35, 80), np.uint8)
    floor = round(height * rng.uniform(0.7, 0.85))
    cv2.rectangle(room, (0, floor), (width, height), _colour(rng, 50, 90), -1)
    for _ in range(int(rng.integers(3, 8))):
        wide, high = (int(rng.integers(size // 12, size // 3)) for size in (width, height))
        x = int(rng.integers(0, width - wide))
        bottom = floor + int(rng.integers(-height // 3, height // 8))
        colour = _colour(rng, 40, 130, bright=25)
        cv2.rectangle(room, (x, bottom - high), (x + wide, bottom), colour, -1)
        cv2.rectangle(room, (x, bottom - high), (x + wide, bottom), _shade(colour, 0.6), 2)
    fall = np.linspace(rng.uniform(0.4, 0.8), 1.0, height, dtype=np.float32)[:, None, None]
    return _dirty(np.asarray(room * fall, np.uint8), noise(rng, width, height), 5)


def _leaf(rng: np.random.Generator, width: int, height: int, paint: Colour, *, slats: bool) -> Image:
    leaf = np.full((height, width, 3), paint, np.uint8)
    if slats:
        pitch = int(rng.integers(18, 34))
        for y in range(height, -pitch, -pitch):
            cv2.rectangle(leaf, (0, y), (width, y + pitch - 4), _shade(paint, rng.uniform(0.93, 1.07)), -1)
            cv2.line(leaf, (0, y + pitch - 3), (width, y + pitch - 3), _shade(paint, 0.7), 3)
    else:
        gap = int(rng.integers(8, 20))
        rows = int(rng.integers(1, 4))
        for row in range(rows):
            upper, lower = (round(gap + (height - gap) * part / rows) for part in (row, row + 1))
            inner = _shade(paint, rng.uniform(0.8, 1.15))
            cv2.rectangle(leaf, (gap, upper), (width - gap, lower - gap), inner, -1)
            cv2.rectangle(leaf, (gap, upper), (width - gap, lower - gap), _shade(paint, 0.65), 2)
    _marks(rng, leaf)
    return _dirty(leaf, noise(rng, width, height), rng.uniform(5, 14))


def _marks(rng: np.random.Generator, leaf: Image) -> None:
    """Signs, numbers and stickers, which make the door's motion visible."""
    height, width = leaf.shape[:2]
    for _ in range(int(rng.integers(2, 6))):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        size, colour = int(rng.integers(width // 14, width // 6)), _colour(rng, 20, 240, bright=50)
        match rng.integers(3):
            case 0:
                cv2.circle(leaf, (x, y), size, colour, -1, cv2.LINE_AA)
                cv2.circle(leaf, (x, y), size // 2, _shade(colour, 0.6), -1, cv2.LINE_AA)
            case 1:
                cv2.rectangle(leaf, (x, y), (x + 2 * size, y + size), colour, -1)
                cv2.rectangle(leaf, (x, y), (x + 2 * size, y + size), _shade(colour, 0.5), 2)
            case _:
                text = str(rng.integers(1, 100))
                cv2.putText(leaf, text, (x, y), cv2.FONT_HERSHEY_DUPLEX, size / 14, colour, 5, cv2.LINE_AA)
