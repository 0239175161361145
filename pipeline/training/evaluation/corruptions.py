"""Corruptions of pictures, as poor cameras and links give them: noise, low light, light jumps, codecs."""

from collections.abc import Callable, Sequence
from fractions import Fraction

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image

Corruption = Callable[[Sequence[Image], np.random.Generator], list[Image]]
"""Pictures of one sequence in order of time in, the same pictures corrupted out."""

_NOISE, _DARK_GAIN, _DARK_NOISE, _JUMP_GAIN, _JPEG_QUALITY = 20.0, 0.25, 5.0, 0.6, 15
_H264 = {"preset": "superfast", "tune": "zerolatency", "crf": "32"}
_FPS = 25


def noisy(pictures: Sequence[Image], rng: np.random.Generator, sigma: float = _NOISE) -> list[Image]:
    """Independent noise at each pixel and colour."""
    return [as_picture(picture + rng.normal(0, sigma, picture.shape)) for picture in pictures]


def low_light(pictures: Sequence[Image], rng: np.random.Generator) -> list[Image]:
    """A quarter of the brightness, with the noise of a sensor (sigma 5)."""
    return [
        as_picture(picture * _DARK_GAIN + rng.normal(0, _DARK_NOISE, picture.shape)) for picture in pictures
    ]


def light_jump(pictures: Sequence[Image], _: np.random.Generator) -> list[Image]:
    """The newest picture has 60 % of the brightness of those before."""
    return [*pictures[:-1], as_picture(pictures[-1] * _JUMP_GAIN)]


def jpeg(pictures: Sequence[Image], _: np.random.Generator) -> list[Image]:
    """Each picture through JPEG of quality 15."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    encoded = [cv2.imencode(".jpg", picture, quality)[1] for picture in pictures]
    return [np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8) for data in encoded]


def h264(pictures: Sequence[Image], _: np.random.Generator) -> list[Image]:
    """The sequence through x264 at CRF 32, a key frame every 25: a camera with little bandwidth."""
    import av  # here, because all else is scored without it

    height, width = pictures[0].shape[:2]
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = width + width % 2, height + height % 2
    encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", Fraction(1, _FPS), Fraction(_FPS)
    encoder.options, encoder.gop_size, encoder.thread_count = _H264, _FPS, 1
    decoder = av.CodecContext.create("h264", "r")
    packets = []
    for number, picture in enumerate(pictures):
        even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        planes = np.asarray(cv2.cvtColor(even, cv2.COLOR_BGR2YUV_I420), np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)[:height, :width] for frame in frames]


CORRUPTIONS: dict[str, Corruption] = {
    "noise": noisy,
    "low_light": low_light,
    "light_jump": light_jump,
    "jpeg": jpeg,
    "h264": h264,
}


def as_picture(values: npt.NDArray[np.floating]) -> Image:
    """Values rounded to what a picture can hold."""
    return np.asarray(values.round().clip(0, 255), np.uint8)
