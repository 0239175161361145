"""Reads the size of a JPEG image from its header, before decoding."""

from pipeline.base.errors import WireError

_START, _END = b"\xff\xd8", b"\xff\xd9"
_BASELINE = (0xC0, 0xC1)
_OTHER_PICTURES = (0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD8))


def jpeg_size(data: memoryview) -> tuple[int, int]:
    """Height and width in pixels of a complete baseline JPEG image with three components.

    Progressive images are rejected: a small one can take hours to decode.

    Raises:
        WireError: The data is not such an image, or its end is missing.
    """
    if bytes(data[:2]) != _START:
        raise WireError("jpeg", "the pixels are not a JPEG image")
    if bytes(data[-2:]) != _END:
        raise WireError("jpeg", "the JPEG image is truncated")
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            break
        marker = data[position + 1]
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            position += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if marker in _BASELINE:
            return _frame_size(data[position + 4 : position + 2 + length])
        if marker in _OTHER_PICTURES:
            raise WireError("jpeg", "the pixels are not a baseline JPEG image")
        position += 2 + length
    raise WireError("jpeg", "the JPEG image does not contain its size")


def _frame_size(segment: memoryview) -> tuple[int, int]:
    """Height and width from a "start of frame" segment: precision, height, width, number of components."""
    if len(segment) < 6 or segment[0] != 8 or segment[5] != 3:
        raise WireError("jpeg", "the JPEG image does not have three components of 8 bits")
    return int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
