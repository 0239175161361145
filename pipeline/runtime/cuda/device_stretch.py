"""`pipeline.base.stretch` on the GPU: copies whole frames and resizes them in batches."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.model.preprocessing import Size
from pipeline.runtime.cpu_threads import usable_cpus
from pipeline.runtime.step import Image

_KEPT = 8  # frame sizes whose matrices and buffers are cached
_PART = 1 << 24  # bytes per part: one part is copied and resized while the next is staged
_LARGE = 1 << 19  # bytes per image: below this, threads spend more time waiting for the GIL than copying
_THREADS = 8


class DeviceStretch:
    """Matches OpenCV's resize to within one grey level: area averaging to shrink, otherwise bilinear.

    Both are linear in the pixels, so rows and columns need one matrix product each, in float16 on a GPU.

    Args:
        size: Output size.
        device: Device that does the work.
    """

    def __init__(self, size: Size, device: torch.device) -> None:
        self._size, self._device = size, device
        self._dtype = torch.float16 if device.type == "cuda" else torch.float32
        self._tables: dict[Size, tuple[Tensor, Tensor]] = {}
        self._staging: dict[Size, Tensor] = {}
        self._hands = min(_THREADS, usable_cpus())
        self._threads = ThreadPoolExecutor(self._hands, "staging")

    def __call__(self, images: Sequence[Image], resized: Tensor) -> None:
        """Queues the work on the current stream; the images are copied before it returns.

        The buffers are reused: call it again only after the previous work has finished.

        Args:
            images: Images of any size.
            resized: Output, ``(B, rows, columns, 3)`` uint8 on the device; the channel order is unchanged.
        """
        by_size: dict[Size, list[int]] = {}
        for row, image in enumerate(images):
            by_size.setdefault((image.shape[0], image.shape[1]), []).append(row)
        for shape, rows in by_size.items():
            staging = self._room(shape, len(rows))
            together = max(1, _PART // (3 * shape[0] * shape[1]))
            for start in range(0, len(rows), together):
                part = rows[start : start + together]
                staged = staging[start : start + len(part)]
                self._copy([images[row] for row in part], staged.numpy())
                if part[-1] - part[0] + 1 == len(part):  # the usual case: all images have one size
                    self._place(staged, shape, resized[part[0] : part[-1] + 1])
                    continue
                together_resized = resized.new_empty(len(part), *resized.shape[1:])
                self._place(staged, shape, together_resized)
                for row, one in zip(part, together_resized, strict=True):
                    resized[row].copy_(one)

    def _room(self, shape: Size, count: int) -> Tensor:
        """Host buffer ``(n, rows, columns, 3)`` for at least ``count`` images, page-locked for a GPU."""
        staging = self._staging.get(shape)
        if staging is None or len(staging) < count:
            if len(self._staging) >= _KEPT:
                self._staging.clear()
            on_gpu = self._device.type == "cuda"
            staging = torch.empty(count, *shape, 3, dtype=torch.uint8, pin_memory=on_gpu)
            self._staging[shape] = staging
        return staging

    def _copy(self, images: Sequence[Image], buffer: npt.NDArray[np.uint8]) -> None:
        hands = min(len(images), self._hands)
        if hands < 2 or images[0].nbytes < _LARGE:
            _copy_each(images, buffer)
            return
        parts = [slice(n * len(images) // hands, (n + 1) * len(images) // hands) for n in range(hands)]
        list(
            self._threads.map(_copy_each, [images[part] for part in parts], [buffer[part] for part in parts])
        )

    def _place(self, staged: Tensor, shape: Size, resized: Tensor) -> None:
        """Copies staged images to the device and resizes them into ``resized``."""
        if shape == self._size:
            resized.copy_(staged, non_blocking=True)
            return
        down, across = self._matrices(shape)
        pictures = staged.to(self._device, non_blocking=True).to(self._dtype)
        lines = torch.matmul(down, pictures.flatten(2))  # (n, new rows, columns * 3)
        resized.copy_(torch.matmul(lines, across).round_().clamp_(0, 255).view_as(resized))

    def _matrices(self, shape: Size) -> tuple[Tensor, Tensor]:
        """Matrices over rows, ``(new, old)``, and over columns with colours, ``(old * 3, new * 3)``."""
        if shape not in self._tables:
            if len(self._tables) >= _KEPT:
                self._tables.clear()
            shrinks = all(have >= want for have, want in zip(shape, self._size, strict=True))
            weights = area_weights if shrinks else linear_weights
            rows, columns = (weights(have, want) for have, want in zip(shape, self._size, strict=True))
            colours = np.kron(columns.T, np.eye(3, dtype=np.float32))
            down, across = (torch.from_numpy(x).to(self._device, self._dtype) for x in (rows, colours))
            self._tables[shape] = down, across
        return self._tables[shape]


def _copy_each(images: Sequence[Image], buffer: npt.NDArray[np.uint8]) -> None:
    for image, room in zip(images, buffer, strict=True):
        np.copyto(room, image)


def area_weights(pixels: int, size: int) -> npt.NDArray[np.float32]:
    """``(size, pixels)``: each new pixel is the mean of the old pixels that it covers."""
    edges = np.arange(size + 1)[:, None] * (pixels / size)
    covered = np.clip(edges - np.arange(pixels), 0.0, 1.0)  # share of each old pixel up to each edge
    weights: npt.NDArray[np.float32] = (np.diff(covered, axis=0) * (size / pixels)).astype(np.float32)
    return weights


def linear_weights(pixels: int, size: int) -> npt.NDArray[np.float32]:
    """``(size, pixels)``: each new pixel is interpolated between two old ones."""
    places = np.clip((np.arange(size) + 0.5) * (pixels / size) - 0.5, 0, pixels - 1)
    nearness = 1.0 - np.abs(places[:, None] - np.arange(pixels))
    weights: npt.NDArray[np.float32] = np.maximum(0.0, nearness).astype(np.float32)
    return weights
