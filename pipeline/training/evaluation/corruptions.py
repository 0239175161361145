"""Image corruptions of poor cameras and links: noise, low light, exposure jumps, codecs."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image
from pipeline.training.codecs import through_h264, through_jpeg

Corruption = Callable[[Sequence[Image], np.random.Generator], list[Image]]
"""Takes the frames of one sequence in time order and returns them corrupted."""

_NOISE, _DARK_GAIN, _DARK_NOISE, _JUMP_GAIN = 20.0, 0.25, 5.0, 0.6
_JPEG_QUALITY, _H264_CRF = 15, 32


def noisy(pictures: Sequence[Image], rng: np.random.Generator, sigma: float = _NOISE) -> list[Image]:
    """Independent noise for each pixel and channel."""
    return [as_picture(picture + rng.normal(0, sigma, picture.shape)) for picture in pictures]


def low_light(pictures: Sequence[Image], rng: np.random.Generator) -> list[Image]:
    """A quarter of the brightness, with sensor noise (sigma 5)."""
    return [
        as_picture(picture * _DARK_GAIN + rng.normal(0, _DARK_NOISE, picture.shape)) for picture in pictures
    ]


def light_jump(pictures: Sequence[Image], _: np.random.Generator) -> list[Image]:
    """The newest frame has 60 % of the brightness of the earlier ones."""
    return [*pictures[:-1], as_picture(pictures[-1] * _JUMP_GAIN)]


def jpeg(pictures: Sequence[Image], _: np.random.Generator) -> list[Image]:
    """JPEG with quality 15."""
    return [through_jpeg(picture, _JPEG_QUALITY) for picture in pictures]


def h264(pictures: Sequence[Image], _: np.random.Generator) -> list[Image]:
    """x264 at CRF 32 with a key frame every 25 frames: a low-bandwidth camera."""
    return through_h264(pictures, _H264_CRF)


CORRUPTIONS: dict[str, Corruption] = {
    "noise": noisy,
    "low_light": low_light,
    "light_jump": light_jump,
    "jpeg": jpeg,
    "h264": h264,
}


def as_picture(values: npt.NDArray[np.floating]) -> Image:
    """Values rounded and clipped to uint8."""
    return np.asarray(values.round().clip(0, 255), np.uint8)
