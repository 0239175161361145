"""``pipeline.stretch`` on the device: pictures are copied whole and resized there, all of a size together."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.runtime.base import Image

_KEPT = 8  # sizes of pictures whose matrices and buffers are kept
_TOGETHER = 16  # pictures in float32 at a time: bounds the memory


class DeviceStretch:
    """Resizes as OpenCV does, within one grey level: areas where pictures shrink, else linear.

    Both are linear in the pixels, so rows and columns are one matrix each.

    Args:
        size: Of the square, in pixels.
        device: Where it works.
    """

    def __init__(self, size: int, device: torch.device) -> None:
        self._size, self._device = size, device
        self._tables: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        self._staging: dict[tuple[int, int], Tensor] = {}

    def __call__(self, images: Sequence[Image], squares: Tensor) -> None:
        """Queues the work on the current stream; pictures are copied before it returns.

        Call it again only when the work of the last call is done: the buffers are the same.

        Args:
            images: Of any size.
            squares: ``(B, size, size, 3)`` uint8 on the device, written to; colours stay in their order.
        """
        by_size: dict[tuple[int, int], list[int]] = {}
        for row, image in enumerate(images):
            by_size.setdefault((image.shape[0], image.shape[1]), []).append(row)
        for shape, rows in by_size.items():
            staged = self._stage(shape, [images[row] for row in rows])
            together = rows == list(range(len(rows)))  # the usual case: all are of one size
            if together and shape == (self._size, self._size):
                squares[: len(rows)].copy_(staged, non_blocking=True)
                continue
            stretched = self._stretch(shape, staged.to(self._device, non_blocking=True))
            for row, square in zip(rows, stretched, strict=True) if not together else ():
                squares[row].copy_(square)
            if together:
                squares[: len(rows)].copy_(stretched)

    def _stage(self, shape: tuple[int, int], images: Sequence[Image]) -> Tensor:
        """``(n, rows, columns, 3)`` on the host, in page-locked memory if the device is a GPU."""
        staging = self._staging.get(shape)
        if staging is None or len(staging) < len(images):
            if len(self._staging) >= _KEPT:
                self._staging.clear()
            on_gpu = self._device.type == "cuda"
            staging = torch.empty(len(images), *shape, 3, dtype=torch.uint8, pin_memory=on_gpu)
            self._staging[shape] = staging
        buffer = staging.numpy()
        for row, image in enumerate(images):
            np.copyto(buffer[row], image)
        return staging[: len(images)]

    def _stretch(self, shape: tuple[int, int], pictures: Tensor) -> Tensor:
        if shape == (self._size, self._size):
            return pictures
        down, across = self._matrices(shape)
        squares = []
        for part in torch.split(pictures, _TOGETHER):
            lines = torch.matmul(down, part.float().flatten(2)).view(len(part), self._size, shape[1], 3)
            square = torch.matmul(across, lines)  # (n, size, size, 3): over columns
            squares.append(square.round_().clamp_(0, 255).byte())
        return torch.cat(squares) if len(squares) > 1 else squares[0]

    def _matrices(self, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        if shape not in self._tables:
            if len(self._tables) >= _KEPT:
                self._tables.clear()
            weights = area_weights if min(shape) >= self._size else linear_weights
            down, across = (torch.from_numpy(weights(n, self._size)).to(self._device) for n in shape)
            self._tables[shape] = down, across
        return self._tables[shape]


def area_weights(pixels: int, size: int) -> npt.NDArray[np.float32]:
    """``(size, pixels)``: each new pixel is the mean of the stretch of old ones that it covers."""
    edges = np.arange(size + 1)[:, None] * (pixels / size)
    covered = np.clip(edges - np.arange(pixels), 0.0, 1.0)  # of each old pixel, up to each edge
    weights: npt.NDArray[np.float32] = (np.diff(covered, axis=0) * (size / pixels)).astype(np.float32)
    return weights


def linear_weights(pixels: int, size: int) -> npt.NDArray[np.float32]:
    """``(size, pixels)``: each new pixel lies between two old ones."""
    places = np.clip((np.arange(size) + 0.5) * (pixels / size) - 0.5, 0, pixels - 1)
    nearness = 1.0 - np.abs(places[:, None] - np.arange(pixels))
    weights: npt.NDArray[np.float32] = np.maximum(0.0, nearness).astype(np.float32)
    return weights
