"""Weather, light and codec effects on clean images, randomised by seed."""

import math
from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image
from pipeline.training.codecs import through_h264, through_jpeg
from pipeline.training.evaluation.corruptions import as_picture, low_light
from pipeline.video.actors import cutouts

Effect = Callable[[Image, float], Image]
"""Maps a clean image and its time in seconds to the camera image."""
Random = np.random.Generator
_LOW_RATE_CRF, _LOW_QUALITY = 38, 15
_GROUP = 50
"""Number of frames encoded together."""


def rain(rng: Random) -> Effect:
    """Rain: new streaks in each frame, some near and wide, and reduced contrast."""

    def effect(image: Image, at_s: float) -> Image:
        height, width = image.shape[:2]
        streaks = np.zeros((height, width), np.uint8)
        for count, longest, thickness in ((120, 40, 1), (8, 130, 3)):
            for x, y, length in rng.uniform((0, -40, 10), (width, height, longest), (count, 3)).astype(int):
                start, end = (int(x), int(y)), (int(x - length // 5), int(y + length))
                cv2.line(streaks, start, end, 90, thickness, cv2.LINE_AA)
        return as_picture(0.85 * image.astype(np.float32) + 18 + streaks[..., None])

    return effect


def cloud_shadows(rng: Random) -> Effect:
    """Shadows with soft edges cross the whole frame every 8 to 14 s."""
    every_s, speed = rng.uniform(8, 14), rng.uniform(90, 200)
    strength, lag = rng.uniform(0.3, 0.5), rng.uniform(0, 7)

    def effect(image: Image, at_s: float) -> Image:
        row, column = _grid(image)
        edge = (column + 60 * np.sin(row / 70) + 400 - ((at_s + lag) % every_s) * speed) / 40
        dark = 1 / (1 + np.exp(-(edge + 5))) - 1 / (1 + np.exp(-(edge - 5)))
        return as_picture(image * (1 - strength * dark[..., None]))

    return effect


def cast_shadow(rng: Random) -> Effect:
    """The shadow of a person outside the frame crosses the ground every 10 to 16 s."""
    every_s, speed = rng.uniform(10, 16), rng.uniform(60, 95)
    foot, lean, lag = rng.uniform(0.75, 0.9), rng.uniform(-0.5, 0.5), rng.uniform(0, 6)
    phases = cutouts("walker")

    def effect(image: Image, at_s: float) -> Image:
        since_s = (at_s + lag) % every_s
        shape = phases[int(since_s * 10) % len(phases)][..., 3]
        height, width = shape.shape
        flat = np.array([[1.0, lean, 0.0], [0.0, 0.6, 0.0]])
        x, y = since_s * speed - width, foot * image.shape[0] - 0.6 * height
        flat[:, 2] = x - lean * height, y
        cover = cv2.warpAffine(shape, flat, (image.shape[1], image.shape[0]))
        dark = cv2.GaussianBlur(cover, (0, 0), 2.0).astype(np.float32) / 255
        return as_picture(image * (1 - 0.45 * dark[..., None]))

    return effect


def headlights(rng: Random) -> Effect:
    """At night, the headlights of a car outside the frame sweep over the ground every 5 to 9 s."""
    every_s, speed, height = rng.uniform(5, 9), rng.uniform(200, 450), rng.uniform(0.65, 0.85)

    def effect(image: Image, at_s: float) -> Image:
        row, column = _grid(image)
        x, y = (at_s % every_s) * speed - 200, height * image.shape[0]
        cone = np.exp(-(((column - x) / 110) ** 2 + ((row - y) / 70) ** 2))
        return as_picture(0.22 * image.astype(np.float32) + (0.75 * image + 50) * cone[..., None])

    return effect


def infrared(rng: Random) -> Effect:
    """Every 5 to 8.5 s the camera switches between day and infrared, and its exposure settles.

    Infrared light comes from the camera's own lamps: grey, bright in the centre, dark in the corners, noisy.
    """
    every_s = rng.uniform(5, 8.5)

    def effect(image: Image, at_s: float) -> Image:
        is_infrared, since_s = int(at_s // every_s) % 2 == 1, at_s % every_s
        settles = 1 + (0.5 if at_s >= every_s else 0.0) * math.exp(-since_s / 0.4)
        if not is_infrared:
            return as_picture(image * settles)
        row, column = _grid(image)
        height, width = image.shape[:2]
        lamps = np.exp(-(((column - width / 2) / width) ** 2 + ((row - height / 2) / height) ** 2))
        grey = (30 + 0.8 * cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)) * lamps
        noisy = grey + rng.normal(0, 6, grey.shape)
        return as_picture(noisy[..., None].repeat(3, axis=2) * settles)

    return effect


def wind(rng: Random) -> Effect:
    """Two parts of the frame sway by up to 4 px, with a phase that varies by position."""
    middles = rng.uniform((0.1, 0.15), (0.45, 0.45)), rng.uniform((0.4, 0.55), (0.75, 0.8))
    phase = rng.uniform(0, 6)

    def effect(image: Image, at_s: float) -> Image:
        row, column = _grid(image)
        height, width = image.shape[:2]
        sways = np.zeros((height, width), np.float32)
        for x, y in middles:
            sways += np.exp(-(((column / width - x) / 0.14) ** 2 + ((row / height - y) / 0.17) ** 2))
        gust = 0.6 + 0.4 * math.sin(0.7 * at_s + phase)
        across = column + 4 * gust * sways * np.sin(5.1 * at_s + phase + column / 37 + row / 53)
        down = row + 2 * gust * sways * np.sin(6.7 * at_s + column / 41)
        swayed = cv2.remap(image, across.astype(np.float32), down.astype(np.float32), cv2.INTER_LINEAR)
        return np.asarray(swayed, np.uint8)

    return effect


def dim(rng: Random) -> Effect:
    """Low light: a quarter of the brightness, with sensor noise."""
    return lambda image, at_s: low_light([image], rng)[0]


def jpeg(rng: Random) -> Effect:
    """JPEG with quality 15."""
    return lambda image, at_s: through_jpeg(image, _LOW_QUALITY)


def low_rate(pictures: Iterable[Image]) -> Iterator[Image]:
    """Compression by a low-bandwidth camera: x264 at CRF 38, with a key frame every 25 frames."""
    group: list[Image] = []
    for picture in pictures:
        group.append(picture)
        if len(group) == _GROUP:
            yield from through_h264(group, _LOW_RATE_CRF)
            group = []
    if group:
        yield from through_h264(group, _LOW_RATE_CRF)


def _grid(image: Image) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    height, width = image.shape[:2]
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    return row, column
