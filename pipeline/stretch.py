"""Pictures of any size to the model's square, the same way for live frames and for training clips."""

import cv2

from pipeline.frame import Image


def stretch(image: Image, square: Image) -> None:
    """Resizes a whole picture into a square and turns blue-green-red into red-green-blue.

    Args:
        image: ``(height, width, 3)`` uint8 BGR.
        square: ``(size, size, 3)`` uint8, written to, RGB.
    """
    rows, columns, size = *image.shape[:2], square.shape[0]
    if (rows, columns) == (size, size):
        cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=square)
        return
    # averaging over areas keeps fine patterns from turning into others, but only when shrinking
    method = cv2.INTER_AREA if min(rows, columns) >= size else cv2.INTER_LINEAR
    cv2.cvtColor(cv2.resize(image, (size, size), interpolation=method), cv2.COLOR_BGR2RGB, dst=square)
