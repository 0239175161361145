"""From pictures of any size to what the model takes."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pipeline.model.preprocessing import Preprocessing
from pipeline.runtime.base import Image
from pipeline.stretch import stretch


class Preprocessor:
    """Stretches to the model's square on the CPU, normalises on the device.

    Args:
        preprocessing: Of the model.
        device: Where the tensor goes.
        dtype: Its type.
    """

    def __init__(self, preprocessing: Preprocessing, device: torch.device, dtype: torch.dtype) -> None:
        self._size, self._device, self._dtype = preprocessing.size, device, dtype
        mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (preprocessing.mean, preprocessing.std))
        self._factor, self._offset = (1 / (255 * std)).to(device), (-mean / std).to(device)

    def __call__(self, images: Sequence[Image]) -> Tensor:
        """``(B, 3, size, size)`` in channels-last layout, red-green-blue, normalised."""
        squares = np.empty((len(images), self._size, self._size, 3), np.uint8)
        for image, square in zip(images, squares, strict=True):
            stretch(image, square)
        pixels = torch.from_numpy(squares).to(self._device).permute(0, 3, 1, 2)
        return torch.addcmul(self._offset, pixels, self._factor).to(self._dtype)
