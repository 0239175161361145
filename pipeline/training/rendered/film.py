"""Renders clips of known camera motions as uint8, to calibrate and score a runtime."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.training.rendered.renderer import MotionRenderer

_BATCH = 32


class Film(NamedTuple):
    """Rendered clips.

    Attributes:
        frames: ``(n, T + 1, size, size, 3)`` uint8, red-green-blue, oldest first.
        labels: Name of the camera motion of each clip.
    """

    frames: npt.NDArray[np.uint8]
    labels: list[str]


def film_motions(size: int, num_past: int, count: int, seed: int) -> Film:
    """Renders clips of procedural images at all speeds; images and motions depend on the seed.

    Args:
        size: Side of the frames in pixels.
        num_past: ``T``.
        count: Number of clips.
        seed: Random seed.
    """
    renderer = MotionRenderer("cpu", size, seed, num_past=num_past, bank_count=64, redraw_every=0)
    frames, labels = [], []
    for start in range(0, count, _BATCH):
        clips = renderer.clips(min(_BATCH, count - start))
        pixels = (clips.frames * 255).round().clamp(0, 255).byte()
        frames.append(pixels.permute(0, 1, 3, 4, 2).contiguous().numpy())
        labels += [CAMERA_MOTIONS[label] for label in clips.labels.tolist()]
    return Film(np.concatenate(frames), labels)
