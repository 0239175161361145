"""Converts frames of any size to the model's input."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.model.preprocessing import Preprocessing, Size
from pipeline.runtime.step import Image, Pixels
from pipeline.runtime.threaded_stretch import Stretcher


class Preprocessor:
    """Resizes to the model's size on the CPU, and normalises on the device.

    Args:
        preprocessing: Preprocessing of the model.
        device: Device of the result.
        dtype: Type of the result.
        threads: CPU threads for resizing.
        size: Size of the frames; None for ``usual_size``.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        device: torch.device,
        dtype: torch.dtype,
        threads: int = 1,
        size: Size | None = None,
    ) -> None:
        self._stretch = Stretcher(size or preprocessing.usual_size, threads)
        self._device, self._dtype = device, dtype
        values = (preprocessing.factor, preprocessing.offset)
        self._factor, self._offset = (torch.tensor(x, device=device).view(1, 3, 1, 1) for x in values)

    def __call__(self, images: Sequence[Image]) -> Tensor:
        """The model's input ``(B, 3, rows, columns)``: red-green-blue, normalised, channels-last layout."""
        return self.normalise(self._stretch(images))

    def normalise(self, resized: Pixels) -> Tensor:
        """The same for images that already have the model's size."""
        return self.normalised(torch.from_numpy(resized).to(self._device))

    def normalised(self, pixels: Tensor) -> Tensor:
        """The same for pixels that are already on the device."""
        return torch.addcmul(self._offset, pixels.permute(0, 3, 1, 2), self._factor).to(self._dtype)
