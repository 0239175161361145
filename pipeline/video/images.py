"""A folder of images in natural order: image2 before image10."""

import re
from pathlib import Path

import cv2
import numpy as np

from pipeline.base.clock import now_ns
from pipeline.base.frame import Image
from pipeline.base.redact import redact_source
from pipeline.video.source import Picture, Source, SourceError, SourceOptions

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"


class ImageFolderSource(Source):
    """The images directly in a folder, as a clip with a fixed rate.

    An image that can't be decoded is returned and flagged as damaged, so that every image is counted.
    """

    live = False

    def __init__(self, folder: str, options: SourceOptions) -> None:
        """Stores the folder; uses ``image_fps`` of the options."""
        self.description = redact_source(folder)
        self.fps = options.image_fps
        self._folder = Path(folder)
        self._paths: list[Path] = []
        self._next = 0

    def open(self) -> None:
        """Lists the folder."""
        try:
            files = [path for path in self._folder.iterdir() if path.suffix.lower() in _SUFFIXES]
        except OSError as error:
            raise SourceError("unreadable", self.description, f"can't be listed: {error.strerror}") from None
        if not files:
            wanted = " ".join(sorted(_SUFFIXES))
            raise SourceError("empty", self.description, f"the folder contains no images ({wanted})")
        self._paths = sorted(files, key=_natural_order)
        self._next = 0

    def read(self) -> Picture | None:
        """The next image, or None after the last."""
        if self._next >= len(self._paths):
            return None
        path = self._paths[self._next]
        try:
            image = _decode(path.read_bytes())
        except OSError as error:
            raise SourceError(
                "unreadable", redact_source(str(path)), f"can't be read: {error.strerror}"
            ) from None
        pts_ns = round(self._next * 1e9 / (self.fps or 1.0))
        self._next += 1
        if image is None:
            return Picture(np.zeros((0, 0, 3), np.uint8), now_ns(), pts_ns, damaged=True)
        return Picture(image, now_ns(), pts_ns)

    def close(self) -> None:
        """Discards the list of images."""
        self._paths = []


def _natural_order(path: Path) -> tuple[list[str | int], str]:
    # Odd positions of the split are always numbers, so strings are compared only with strings.
    parts = re.split(r"(\d+)", path.name.lower())
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], path.name


def _decode(data: bytes) -> Image | None:
    # OpenCV fills the missing part of a truncated JPEG with grey, without an error.
    if data.startswith(_JPEG_START) and _JPEG_END not in data[-1024:]:
        return None
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)
