"""Resizes images to the model's input, the same way for live frames and training clips."""

import itertools

import cv2

from pipeline.base.frame import Image


def stretch(image: Image, resized: Image) -> None:
    """Resizes an image into another one and converts BGR to RGB.

    Args:
        image: ``(height, width, 3)`` uint8 BGR; or a band of an image, see ``bands``.
        resized: Output, ``(rows, columns, 3)`` uint8 RGB; or a band of it.
    """
    rows, columns = resized.shape[:2]
    if image.shape[:2] == (rows, columns):
        cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=resized)
        return
    method = cv2.INTER_AREA if _shrinks(image, resized) else cv2.INTER_LINEAR
    cv2.cvtColor(cv2.resize(image, (columns, rows), interpolation=method), cv2.COLOR_BGR2RGB, dst=resized)


def bands(image: Image, resized: Image, most: int) -> list[tuple[Image, Image]]:
    """Splits an image and its resized output into bands that ``stretch`` can process independently.

    Args:
        image: ``(height, width, 3)``.
        resized: ``(rows, columns, 3)``.
        most: Largest number of bands.

    Returns:
        Pairs of bands, as many as the heights allow: no output row may depend on two bands.
    """
    heights = (image.shape[0], resized.shape[0])
    count = most if _shrinks(image, resized) else 1
    while any(height % count for height in heights):
        count -= 1
    cuts = [[height * n // count for n in range(count + 1)] for height in heights]
    return [
        (image[top:bottom], resized[first:last])
        for (top, bottom), (first, last) in zip(*(itertools.pairwise(at) for at in cuts), strict=True)
    ]


def _shrinks(image: Image, resized: Image) -> bool:
    """Whether the output is no larger; area averaging then avoids aliasing."""
    return all(have >= want for have, want in zip(image.shape[:2], resized.shape[:2], strict=True))
