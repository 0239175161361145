"""Inputs and outputs of a step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.model.preprocessing import Size

Image = npt.NDArray[np.uint8]
"""``(height, width, 3)`` uint8, colours in the order blue, green, red; any size."""
Pixels = npt.NDArray[np.uint8]
"""``(B, rows, columns, 3)`` uint8 of the model's size, colours in the order red, green, blue."""


@dataclass(frozen=True, slots=True)
class Motion:
    """Dense motion of one image, at stride 4 of the network's input; float32, slots oldest first.

    Attributes:
        flow: Displacement from each position to where it was in each past frame, ``(T, 2, h, w)``, x right
            and y down, in pixels of the network's input; zeros for a slot without a frame.
        uncertainty: Expected error of the flow in pixels, ``(T, h, w)``.
        moving: Probability that the position moves independently of the camera, ``(h, w)``.
        camera: Affine map of the static background from new to past coordinates, each from -1 to 1,
            ``(T, 2, 3)``.
    """

    flow: npt.NDArray[np.float32]
    uncertainty: npt.NDArray[np.float32]
    moving: npt.NDArray[np.float32]
    camera: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Result:
    """The prediction for one image.

    Attributes:
        probabilities: ``(num_classes,)`` float32, adding up to 1.
        attention: Weights over the past, ``(S, T * S_k)`` float16, slots oldest first and zeros for a slot
            without a frame; None if not requested.
        depth: Number of past frames used, 0 to ``T``.
        grid: Rows and columns of the new frame's positions, ``rows * columns = S``.
        motion: None if the network has no dense motion.
    """

    probabilities: npt.NDArray[np.float32]
    attention: npt.NDArray[np.float16] | None
    depth: int
    grid: tuple[int, int]
    motion: Motion | None = None


class SizedEntry(NamedTuple):
    """The cached state of an image, and its size as model input."""

    size: Size
    entry: Any


class Part(NamedTuple):
    """A part of an image's cached state, for transfer to another process of the same kind.

    Attributes:
        number: Type of its numbers, such as ``bfloat16``.
        shape: Shape of the array.
        data: Its numbers, little-endian, row by row.
    """

    number: str
    shape: tuple[int, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Memory:
    """The cached state of one image; only the runtime that made it can read it.

    Attributes:
        entry: Keys and values, for the history of its stream; from a ``Runtime``, a ``SizedEntry``.
        features: For ``Runtime.infer`` with the same image again; None if the backend keeps none.
    """

    entry: Any
    features: Any


class Step:
    """One step of several streams: results first, then the work that only later steps need.

    Args:
        results: One per stream.
        backbone_passes: Number of images that went through a backbone for them.
        remember: Returns the memories, and the number of passes for them.

    Attributes:
        results: One per stream.
        backbone_passes: Number of backbone passes; those of ``remember`` are added once it has run.
    """

    def __init__(
        self,
        results: list[Result],
        backbone_passes: int,
        remember: Callable[[], tuple[list[Memory], int]],
    ) -> None:
        self.results, self.backbone_passes = results, backbone_passes
        self._remember = remember
        self._memories: list[Memory] | None = None

    def remember(self) -> list[Memory]:
        """The memories of all images for later steps, in the order of the results.

        Almost free with shared weights; otherwise it runs the other backbones, so call it after the
        predictions have been sent.

        Raises:
            ValueError: The first call follows the next ``infer``, and the steps of the runtime share their
                memory.
        """
        if self._memories is None:
            self._memories, passes = self._remember()
            self.backbone_passes += passes
        return self._memories
