"""Resizes images to the model's size with several threads."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pipeline.base.stretch import bands, stretch
from pipeline.model.preprocessing import Size
from pipeline.runtime.step import Image, Pixels

_WORTH = 1 << 21  # bytes: smaller images are resized faster than a sleeping thread wakes up


class Stretcher:
    """Resizes images of any size to the model's; several images, or bands of large ones, run in threads.

    Args:
        size: Size of the results.
        threads: Number of threads, including the caller's.
    """

    def __init__(self, size: Size, threads: int) -> None:
        self._size, self._threads = size, threads
        self._pool = ThreadPoolExecutor(threads - 1, "stretch") if threads > 1 else None

    def __call__(self, images: Sequence[Image]) -> Pixels:
        """The resized images ``(B, rows, columns, 3)`` uint8, red-green-blue."""
        resized = np.empty((len(images), *self._size, 3), np.uint8)
        work = [
            band
            for image, room in zip(images, resized, strict=True)
            for band in bands(image, room, max(1, min(self._threads, image.nbytes // _WORTH)))
        ]
        if self._pool is None or sum(image.nbytes for image in images) < 2 * _WORTH:
            for band in work:
                stretch(*band)
            return resized
        own, *shared = work
        others = [self._pool.submit(stretch, *band) for band in shared]
        stretch(*own)
        for band, other in zip(reversed(shared), reversed(others), strict=True):
            if other.cancel():  # not started yet: do it here instead of waiting on a busy machine
                stretch(*band)
            else:
                other.result()
        return resized
