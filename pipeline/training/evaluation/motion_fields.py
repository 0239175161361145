"""A network's answer to one picture, place by place, brought back to the size of the picture."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image
from pipeline.training.evaluation.truth_files import Flow

Floats = npt.NDArray[np.float32]

LONGEST_PX = 384
_MULTIPLE_PX = 32


@dataclass(frozen=True, slots=True)
class MotionFields:
    """What a network reports for the newest picture of a stream; ``h x w`` are its places.

    Attributes:
        flow: ``(T, 2, h, w)``, from each place to where it was in each past picture, in pixels of ``size``,
            oldest first.
        uncertainty: ``(T, h, w)``, the expected error of the flow in the same pixels.
        moving: ``(h, w)``, probability that a place moves by itself.
        camera: ``(T, 2, 3)``, from coordinates in the new picture to those in each past one; -1 and 1 are
            the edges of a picture.
        size: height and width of the pictures that the network saw.
    """

    flow: Floats
    uncertainty: Floats
    moving: Floats
    camera: Floats
    size: tuple[int, int]

    def flow_at(self, height: int, width: int) -> Flow:
        """The flow to the newest past picture in pixels of a picture of that size, ``(height, width, 2)``."""
        flow = _resized(self.flow[-1], height, width)
        return flow * np.array([width / self.size[1], height / self.size[0]], np.float32)

    def uncertainty_at(self, height: int, width: int) -> Floats:
        """The expected error of `flow_at`, ``(height, width)``."""
        scale = (width / self.size[1] * height / self.size[0]) ** 0.5
        return _resized(self.uncertainty[-1:], height, width)[..., 0] * np.float32(scale)

    def moving_at(self, height: int, width: int) -> npt.NDArray[np.bool_]:
        """Which pixels of a picture of that size move by themselves, ``(height, width)``."""
        return _resized(self.moving[None], height, width)[..., 0] > 0.5

    def camera_flow_at(self, height: int, width: int) -> Flow:
        """The flow to the newest past picture, were all places still, in pixels of a picture of that size."""
        return affine_flow(self.camera[-1], height, width)


MotionStream = Callable[[Image], MotionFields]
"""Takes the pictures ``(H, W, 3)`` BGR of one stream in order of time; they are all of one size."""
OpenStream = Callable[[], MotionStream]
"""Opens a stream that has seen nothing yet."""


def open_spaced(open_stream: OpenStream, spacing: int) -> MotionStream:
    """A stream whose past pictures are ``spacing`` frames apart.

    Behind it, each of ``spacing`` streams takes every so many-th picture: a network sees each once.
    """
    streams = cycle([open_stream() for _ in range(spacing)])
    return lambda picture: next(streams)(picture)


def network_size(height: int, width: int, longest_px: int = LONGEST_PX) -> tuple[int, int]:
    """Height and width at which a network sees a picture: multiples of 32, the longer side at most 384."""
    scale = min(longest_px / max(height, width), 1.0)
    rows, columns = (max(round(side * scale / _MULTIPLE_PX), 1) * _MULTIPLE_PX for side in (height, width))
    return rows, columns


def affine_flow(affine: npt.NDArray[np.floating], height: int, width: int) -> Flow:
    """What a map ``(2, 3)`` between coordinates of -1 to 1 does to each pixel of a picture, in pixels."""
    x, y = ((np.arange(side, dtype=np.float32) + 0.5) * 2 / side - 1 for side in (width, height))
    places = np.stack([*np.meshgrid(x, y), np.ones((height, width), np.float32)], axis=-1)
    moved = places @ np.asarray(affine, np.float32).T - places[..., :2]
    return np.asarray(moved * np.array([width / 2, height / 2], np.float32), np.float32)


def _resized(maps: Floats, height: int, width: int) -> Floats:
    """Maps ``(C, h, w)``, ``C`` at most 4, as ``(height, width, C)``; bilinear."""
    resized = cv2.resize(maps.transpose(1, 2, 0), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.float32).reshape(height, width, len(maps))
