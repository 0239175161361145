"""Detects frames that equal the one whose features are cached."""

from typing import Generic, TypeVar

import numpy as np

from pipeline.base.frame import Image

T = TypeVar("T")
_EVERY = 8  # pixels, each way, that a threshold looks at


class KeptBytes:
    """What the last pictures of all streams may hold together, however many and large they are.

    Args:
        most: Limit in bytes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0

    def exchange(self, old: int, new: int) -> bool:
        """Counts ``new`` bytes in place of ``old`` ones; False, and 0, if they do not fit."""
        self._used -= old
        fits = self._used + new <= self._most
        self._used += new if fits else 0
        return fits


class LastPicture(Generic[T]):
    """A stream's last picture that went through the model, and what the model made of it.

    Almost equal pictures are compared with the one that really went through, never with each other, so
    that slow changes add up until they count. A picture for which no memory is left is not kept: the next
    one is new, whatever it shows. Copies, because hashing takes three times as long as copying and comparing.

    Args:
        kept: Shared by all streams.
        tolerance: Mean difference in grey levels, 0 to 255, up to which a picture counts as the same; with
            0 it has to be the same in every pixel.
    """

    def __init__(self, kept: KeptBytes, tolerance: float = 0.0) -> None:
        self._kept, self._tolerance = kept, tolerance
        self._shape: tuple[int, ...] = ()
        self._picture: Image | None = None
        self._known: T | None = None

    def find(self, image: Image) -> T | None:
        """What was kept, if this is the same picture."""
        if self._picture is None or self._shape != image.shape:
            return None
        return self._known if self._equals(self._compared(image), self._picture) else None

    def keep(self, image: Image, known: T) -> None:
        """Copies what is compared of a picture that went through the model."""
        compared = self._compared(image)
        if self._picture is None or self._picture.shape != compared.shape:
            old = 0 if self._picture is None else self._picture.nbytes
            self._picture = self._known = None  # freed before the new one is made
            if not self._kept.exchange(old, compared.nbytes):
                return
            self._picture = np.empty_like(compared, order="C")
        np.copyto(self._picture, compared)
        self._shape, self._known = image.shape, known

    def forget(self) -> None:
        """Frees what is kept: the stream has ended."""
        if self._picture is not None:
            self._kept.exchange(self._picture.nbytes, 0)
        self._picture = self._known = None

    def _compared(self, image: Image) -> Image:
        return image[::_EVERY, ::_EVERY] if self._tolerance else image

    def _equals(self, image: Image, other: Image) -> bool:
        if self._tolerance:
            return bool(np.abs(image.astype(np.int16) - other).mean() <= self._tolerance)
        middle = len(image) // 2  # noise is everywhere: one row is enough for nearly every other picture
        return np.array_equal(image[middle], other[middle]) and np.array_equal(image, other)
