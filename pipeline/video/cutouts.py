"""Drawn objects of the demo: cars, a walker, balloons, leaves and a cloud's shadow.

Each function returns the animation phases of one object: images ``(height, width, 4)`` uint8, premultiplied
BGR and opacity.
"""

from collections.abc import Callable
from math import cos, pi, sin
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.video.scenes import Rgb, fractal

Cutout: TypeAlias = npt.NDArray[np.uint8]
Point: TypeAlias = tuple[float, float]

_FINE = 4
"""Supersampling factor of cutouts."""


class _Sheet:
    """Draws a cutout; lengths are in pixels of the cutout."""

    def __init__(self, width: int, height: int) -> None:
        self._paint = np.zeros((height * _FINE, width * _FINE, 3), np.uint8)
        self._mask = np.zeros((height * _FINE, width * _FINE), np.uint8)

    def polygon(self, points: list[Point], tone: Rgb) -> None:
        corners = np.round(np.array(points) * _FINE).astype(np.int32)
        cv2.fillPoly(self._paint, [corners], tone[::-1])
        cv2.fillPoly(self._mask, [corners], 255)

    def ellipse(self, centre: Point, radii: Point, tone: Rgb, turn_deg: float = 0.0) -> None:
        x, y, across, down = (round(value * _FINE) for value in (*centre, *radii))
        cv2.ellipse(self._paint, (x, y), (across, down), turn_deg, 0, 360, tone[::-1], -1)
        cv2.ellipse(self._mask, (x, y), (across, down), turn_deg, 0, 360, 255, -1)

    def limb(self, points: list[Point], thick: float, tone: Rgb) -> None:
        corners = np.round(np.array(points) * _FINE).astype(np.int32)
        cv2.polylines(self._paint, [corners], False, tone[::-1], round(thick * _FINE))
        cv2.polylines(self._mask, [corners], False, 255, round(thick * _FINE))

    def cut(self, *, ground_shadow: float = 0.0) -> Cutout:
        """The cutout: lit from above, slightly grainy; ``ground_shadow``: darkness of its shadow, 0 to 1."""
        height, width = (side // _FINE for side in self._mask.shape)
        paint, mask = (
            cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
            for image in (self._paint, self._mask)
        )
        grain = fractal(height, width, np.random.default_rng(0), grain=16, roughness=0.8)
        light = np.linspace(1.14, 0.82, height, dtype=np.float32)[:, None] * (0.82 + 0.36 * grain)
        paint = np.minimum(paint * light[..., None], mask[..., None])
        if ground_shadow:
            rows, columns = np.indices((height, width), np.float32)
            across = (columns - (width - 1) / 2) / (0.46 * width)
            down = (rows - 0.94 * height) / (0.07 * height + 3)
            shadow = 255 * ground_shadow * np.clip(1.4 * (1 - across**2 - down**2), 0, 1)
            mask = np.maximum(mask, shadow)
        return np.dstack([paint, mask]).round().clip(0, 255).astype(np.uint8)


def car(body: Rgb, *, van: bool = False, taxi: bool = False) -> list[Cutout]:
    """A car that drives to the right; its wheels have spokes."""
    roof: list[Point] = [(48, 38), (72, 10), (146, 10), (182, 40)]
    if van:
        roof = [(12, 40), (16, 4), (164, 4), (196, 40)]
    hull: list[Point] = [(8, 46), (14, 38), (182, 38), (216, 46), (224, 58), (222, 72), (10, 72), (6, 60)]
    dark, glass = _times(body, 0.62), (150, 186, 204)
    phases = []
    for phase in range(6):
        sheet = _Sheet(230, 91)
        if taxi:
            sheet.polygon([(96, 10), (100, 2), (124, 2), (128, 10)], (250, 250, 240))
        sheet.polygon(roof, body)
        sheet.polygon(hull, body)
        sheet.polygon([(10, 62), (224, 62), (222, 72), (10, 72)], dark)
        panes: list[list[Point]] = [
            [(60, 36), (78, 16), (106, 16), (106, 36)],
            [(112, 36), (112, 16), (142, 16), (166, 36)],
        ]
        if van:
            panes = [[(136, 36), (136, 12), (160, 12), (182, 36)]]
        for pane in panes:
            sheet.polygon(pane, glass)
            (x, y), (right, top) = pane[0], pane[1]
            sheet.polygon([(x, y), (right, top), (right + 10, top), (x + 12, y)], _times(glass, 1.2))
        if taxi:
            for square in range(12):
                sheet.polygon(_box(24 + 15 * square, 48, 8, 7), (40, 40, 44))
        sheet.ellipse((216, 53), (6, 5), (255, 244, 200))
        sheet.ellipse((11, 53), (4, 6), (226, 44, 40))
        sheet.limb([(109, 40), (109, 62)], 1.5, dark)
        sheet.limb([(118, 46), (128, 46)], 2.5, dark)
        for middle in (54, 176):
            sheet.ellipse((middle, 70), (18, 18), (34, 34, 38))
            sheet.ellipse((middle, 70), (11, 11), (200, 202, 206))
            for spoke in range(4):
                angle = pi / 2 * (spoke + phase / 6)
                end = (middle + 10 * cos(angle), 70 + 10 * sin(angle))
                sheet.limb([(middle, 70), end], 3, (96, 98, 104))
        phases.append(sheet.cut(ground_shadow=0.45))
    return phases


def walker(coat: Rgb, trousers: Rgb) -> list[Cutout]:
    """A person who walks to the right; in phase 0 the person appears to stand."""
    skin, hair, shoe = (222, 172, 138), (74, 48, 36), (44, 38, 40)
    phases = []
    for phase in range(12):
        sheet, angle = _Sheet(112, 177), 2 * pi * phase / 12
        bob = 2.5 * abs(cos(angle))
        hip, neck = (56.0, 92 + bob), (58.0, 42 + bob)

        def leg(swing: float, tone: Rgb, hip: Point = hip, sheet: _Sheet = sheet) -> None:
            thigh = 0.52 * sin(swing)
            shin = thigh - 0.55 * max(0.0, cos(swing))
            knee = (hip[0] + 36 * sin(thigh), hip[1] + 36 * cos(thigh))
            foot = (knee[0] + 36 * sin(shin), knee[1] + 36 * cos(shin))
            sheet.limb([hip, knee, foot], 13, tone)
            sheet.limb([(foot[0] - 3, foot[1] + 2), (foot[0] + 11, foot[1] + 3)], 8, shoe)

        def arm(swing: float, tone: Rgb, neck: Point = neck, sheet: _Sheet = sheet) -> None:
            upper = 0.5 * sin(swing)
            elbow = (neck[0] + 28 * sin(upper), neck[1] + 8 + 28 * cos(upper))
            hand = (elbow[0] + 22 * sin(upper + 0.5), elbow[1] + 22 * cos(upper + 0.5))
            sheet.limb([(neck[0], neck[1] + 8), elbow, hand], 9, tone)
            sheet.ellipse(hand, (5, 5), skin)

        arm(angle, _times(coat, 0.7))
        leg(angle + pi, _times(trousers, 0.75))
        leg(angle, trousers)
        sheet.polygon(
            [(46, neck[1]), (68, neck[1]), (71, hip[1] + 12), (43, hip[1] + 12)],
            coat,
        )
        sheet.ellipse((57, neck[1] + 2), (12, 8), coat)
        sheet.ellipse((60, 24 + bob), (13, 15), skin)
        sheet.ellipse((57, 17 + bob), (14, 10), hair, -18)
        sheet.ellipse((49, 24 + bob), (6, 11), hair)
        arm(angle + pi, _times(coat, 1.12))
        phases.append(sheet.cut(ground_shadow=0.4))
    return phases


def balloons() -> list[Cutout]:
    """Three balloons that drift upwards."""
    sheet = _Sheet(104, 152)
    for (x, y), tone in (((34, 40), (214, 58, 66)), ((70, 34), (64, 128, 204)), ((54, 64), (244, 190, 62))):
        sheet.limb([(x, y + 26), (54, 112), (50, 148)], 1.6, (70, 60, 60))
        sheet.ellipse((x, y), (23, 28), tone)
        sheet.polygon([(x - 5, y + 33), (x, y + 26), (x + 5, y + 33)], _times(tone, 0.8))
        sheet.ellipse((x - 8, y - 10), (5, 8), _times(tone, 1.5), 24)
    return [sheet.cut()]


def leaves(seed: int) -> list[Cutout]:
    """A branch full of leaves."""
    sheet, rng = _Sheet(200, 160), np.random.default_rng(seed)
    for depth in range(150):
        far = np.sqrt(rng.random()) * 0.86
        angle = rng.uniform(0, 2 * pi)
        tone = _times((88, 138, 62), float(rng.uniform(0.5, 0.75) + 0.5 * depth / 150))
        place = (100 + 82 * far * cos(angle), 80 + 62 * far * sin(angle))
        sheet.ellipse(place, (12, 7), tone, float(rng.uniform(0, 180)))
    return [sheet.cut()]


def trunk() -> list[Cutout]:
    """The trunk of the tree."""
    sheet = _Sheet(80, 241)
    sheet.polygon([(30, 40), (50, 40), (52, 200), (62, 238), (18, 238), (28, 200)], (104, 78, 58))
    sheet.limb([(40, 90), (14, 30)], 9, (96, 72, 54))
    sheet.limb([(40, 80), (68, 20)], 9, (112, 84, 62))
    return [sheet.cut()]


def cloud_shadow() -> list[Cutout]:
    """A shadow with soft edges."""
    rows, columns = np.indices((620, 420), np.float32)
    far = ((columns - 210) / 200) ** 2 + ((rows - 310) / 300) ** 2
    ragged = far + 0.5 * (fractal(620, 420, np.random.default_rng(1), grain=150, roughness=0.5) - 0.5)
    dark = 255 * np.clip(0.28 * (1 - ragged), 0, 0.3)
    edge = np.minimum(np.minimum(rows, 619 - rows), np.minimum(columns, 419 - columns)) / 40
    dark *= np.clip(edge, 0, 1)
    return [np.dstack([np.zeros((620, 420, 3), np.uint8), dark.astype(np.uint8)])]


CUTOUTS: dict[str, Callable[[], list[Cutout]]] = {
    "red car": lambda: car((196, 44, 48)),
    "blue van": lambda: mirrored(car((58, 104, 168), van=True)),
    "taxi": lambda: car((240, 188, 48), taxi=True),
    "green car": lambda: mirrored(car((44, 126, 96))),
    "walker": lambda: walker((178, 58, 74), (52, 66, 104)),
    "other walker": lambda: walker((62, 128, 104), (92, 74, 60)),
    "balloons": balloons,
    "trunk": trunk,
    "leaves 1": lambda: leaves(1),
    "leaves 2": lambda: leaves(2),
    "leaves 3": lambda: leaves(3),
    "cloud shadow": cloud_shadow,
}
"""Functions that draw the phases, by name."""


def mirrored(phases: list[Cutout]) -> list[Cutout]:
    """The same object, facing left."""
    return [np.ascontiguousarray(phase[:, ::-1]) for phase in phases]


def _times(tone: Rgb, light: float) -> Rgb:
    red, green, blue = (min(255, round(part * light)) for part in tone)
    return red, green, blue


def _box(left: float, top: float, width: float, height: float) -> list[Point]:
    return [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]
