"""From pictures of any size to what the model takes."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pipeline.model.preprocessing import Preprocessing
from pipeline.runtime.base import Image, Pixels
from pipeline.stretch import stretch


def to_squares(images: Sequence[Image], size: int) -> Pixels:
    """Pictures of any size stretched to the model's square, ``(B, size, size, 3)`` uint8, red-green-blue."""
    squares = np.empty((len(images), size, size, 3), np.uint8)
    for image, square in zip(images, squares, strict=True):
        stretch(image, square)
    return squares


class Preprocessor:
    """Stretches to the model's square on the CPU, normalises on the device.

    Args:
        preprocessing: Of the model.
        device: Where the tensor goes.
        dtype: Its type.
    """

    def __init__(self, preprocessing: Preprocessing, device: torch.device, dtype: torch.dtype) -> None:
        self._size, self._device, self._dtype = preprocessing.size, device, dtype
        values = (preprocessing.factor, preprocessing.offset)
        self._factor, self._offset = (torch.tensor(x, device=device).view(1, 3, 1, 1) for x in values)

    def __call__(self, images: Sequence[Image]) -> Tensor:
        """``(B, 3, size, size)`` in channels-last layout, red-green-blue, normalised."""
        return self.normalise(to_squares(images, self._size))

    def normalise(self, squares: Pixels) -> Tensor:
        """The same from pictures that have the model's size already."""
        return self.normalised(torch.from_numpy(squares).to(self._device))

    def normalised(self, pixels: Tensor) -> Tensor:
        """The same from pixels that are on the device."""
        return torch.addcmul(self._offset, pixels.permute(0, 3, 1, 2), self._factor).to(self._dtype)
