"""Resizes images to the model's input, the same way for live frames and training clips."""

import itertools

import cv2

from pipeline.base.frame import Image


def stretch(image: Image, resized: Image) -> None:
    """Resizes a whole picture into another and turns blue-green-red into red-green-blue.

    Args:
        image: ``(height, width, 3)`` uint8 BGR; or a band of a picture, see ``bands``.
        resized: ``(rows, columns, 3)`` uint8, written to, RGB; or a band of it.
    """
    rows, columns = resized.shape[:2]
    if image.shape[:2] == (rows, columns):
        cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=resized)
        return
    method = cv2.INTER_AREA if _shrinks(image, resized) else cv2.INTER_LINEAR
    cv2.cvtColor(cv2.resize(image, (columns, rows), interpolation=method), cv2.COLOR_BGR2RGB, dst=resized)


def bands(image: Image, resized: Image, most: int) -> list[tuple[Image, Image]]:
    """Parts of a picture and of the resized one that ``stretch`` may treat one by one, with the same result.

    Args:
        image: ``(height, width, 3)``.
        resized: ``(rows, columns, 3)``.
        most: How many at most.

    Returns:
        As many as the heights allow: no row of the result may need rows of two bands.
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
    """Then areas are averaged, which keeps fine patterns from turning into others."""
    return all(have >= want for have, want in zip(image.shape[:2], resized.shape[:2], strict=True))
