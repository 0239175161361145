"""Dense motion of a stream of images, scaled back to their size."""

from collections.abc import Callable, Sequence
from itertools import cycle

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image
from pipeline.model.preprocessing import aspect_kept
from pipeline.scene.dense_motion import PLACE_PX, DenseMotion
from pipeline.training.evaluation.truth_files import Flow

Floats = npt.NDArray[np.float32]
MotionStream = Callable[[Image], DenseMotion]
"""Takes the frames ``(H, W, 3)`` BGR of one stream in time order; all have the same size."""
OpenStream = Callable[[], MotionStream]
"""Opens a new stream."""
PictureSize = Callable[[int, int], tuple[int, int]]
"""From a frame's height and width to the network's input size, both multiples of 32."""

_LONGEST_PX = 384


def open_spaced(open_stream: OpenStream, spacing: int) -> MotionStream:
    """A stream whose past frames are ``spacing`` frames apart.

    Internally, frames are distributed over ``spacing`` streams in turn, so each is processed once.
    """
    streams = cycle([open_stream() for _ in range(spacing)])
    return lambda picture: next(streams)(picture)


def played(stream: MotionStream, pictures: Sequence[Image]) -> DenseMotion:
    """The stream's result for the last of some frames."""
    *before, new = pictures
    for picture in before:
        stream(picture)
    return stream(new)


def network_size(height: int, width: int) -> tuple[int, int]:
    """The network's input size for a frame: multiples of 32, the longer side at most 384."""
    return aspect_kept(height, width, min(_LONGEST_PX, max(height, width)))


def affine_flow(affine: npt.NDArray[np.floating], height: int, width: int) -> Flow:
    """Flow in pixels of an affine map ``(2, 3)`` between coordinates from -1 to 1."""
    x, y = ((np.arange(side, dtype=np.float32) + 0.5) * 2 / side - 1 for side in (width, height))
    places = np.stack([*np.meshgrid(x, y), np.ones((height, width), np.float32)], axis=-1)
    moved = places @ np.asarray(affine, np.float32).T - places[..., :2]
    return np.asarray(moved * np.array([width / 2, height / 2], np.float32), np.float32)


def flow_at(motion: DenseMotion, height: int, width: int) -> Flow:
    """The flow to the newest past frame in pixels of an image of this size, ``(height, width, 2)``."""
    return _resized(motion.flow[-1], height, width) * _scale(motion, height, width)


def uncertainty_at(motion: DenseMotion, height: int, width: int) -> Floats:
    """The expected error of `flow_at`, ``(height, width)``."""
    scale = np.sqrt(_scale(motion, height, width).prod())
    return np.asarray(_resized(motion.uncertainty[-1:], height, width)[..., 0] * scale, np.float32)


def moving_at(motion: DenseMotion, height: int, width: int) -> npt.NDArray[np.bool_]:
    """Mask of independently moving pixels of an image of this size, ``(height, width)``."""
    return _resized(motion.moving[None], height, width)[..., 0] > 0.5


def camera_flow_at(motion: DenseMotion, height: int, width: int) -> Flow:
    """The flow of the camera motion to the newest past frame, in pixels of an image of this size."""
    return affine_flow(motion.camera[-1], height, width)


def _scale(motion: DenseMotion, height: int, width: int) -> Floats:
    """Image pixels per pixel of the network's input, x and y."""
    rows, columns = motion.moving.shape
    return np.array([width / (columns * PLACE_PX), height / (rows * PLACE_PX)], np.float32)


def _resized(maps: Floats, height: int, width: int) -> Floats:
    """Maps ``(C, h, w)``, ``C`` at most 4, as ``(height, width, C)``; bilinear."""
    resized = cv2.resize(maps.transpose(1, 2, 0), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.float32).reshape(height, width, len(maps))
