"""Reads images, masks and flow in the formats of data sets, with readable errors."""

from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.frame import Image

Flow = npt.NDArray[np.float32]
"""``(H, W, 2)`` in pixels, x right and y down, from each position of one image to its position in another."""
Grey = npt.NDArray[np.uint8]

_UNKNOWN = 1e9
"""Middlebury marks unknown flow with values above this."""
_KITTI_ZERO, _KITTI_SCALE = 32768.0, 64.0


def read_picture(path: Path) -> Image:
    """An image ``(H, W, 3)``, BGR.

    Raises:
        ValueError: The file is missing or can't be decoded.
    """
    return np.asarray(_decode(path, cv2.IMREAD_COLOR), np.uint8)


def read_mask(path: Path) -> Grey:
    """A label image ``(H, W)``.

    Raises:
        ValueError: The file is missing or can't be decoded.
    """
    return np.asarray(_decode(path, cv2.IMREAD_GRAYSCALE), np.uint8)


def read_flow(path: Path) -> Flow:
    """Ground-truth flow, NaN where unknown.

    Args:
        path: Middlebury or Sintel (``.flo``), KITTI (16-bit ``.png``), or ``.npz`` with an array ``flow``.

    Raises:
        ValueError: The file is missing or damaged.
    """
    readers = {".flo": _read_flo, ".png": _read_kitti, ".npz": _read_npz}
    flow = readers[path.suffix.lower()](path)
    if flow.ndim != 3 or flow.shape[2] != 2:
        raise ValueError(f"{path}: has an array of shape {flow.shape}, expected (height, width, 2)")
    flow[~(np.abs(flow) < _UNKNOWN).all(axis=2)] = np.nan
    return flow


def name_below(folder: Path, place: Path) -> str:
    """The name of a path in a data set: relative to the folder, or the folder's own name."""
    way = place.relative_to(folder).as_posix()
    return folder.absolute().name if way == "." else way


def _read_flo(path: Path) -> Flow:
    header = np.frombuffer(_bytes(path)[:12].ljust(12, b"\0"), "<i4")
    width, height = int(header[1]), int(header[2])
    # OpenCV allocates the size in the header and pads truncated files, so check the size first.
    if path.stat().st_size != 12 + 8 * width * height or min(width, height) < 1:
        raise ValueError(f"{path}: not a complete .flo file")
    flow = cv2.readOpticalFlow(str(path))
    if flow is None or flow.shape[:2] != (height, width):
        raise ValueError(f"{path}: not a .flo file")
    return np.array(flow, np.float32)


def _read_kitti(path: Path) -> Flow:
    stored = _decode(path, cv2.IMREAD_UNCHANGED)
    if stored.dtype != np.uint16 or stored.ndim != 3:
        raise ValueError(f"{path}: not a KITTI flow image, which has 3 channels of 16 bits")
    flow = (stored[..., 2:0:-1].astype(np.float32) - _KITTI_ZERO) / _KITTI_SCALE
    flow[stored[..., 0] == 0] = np.nan
    return flow


def _read_npz(path: Path) -> Flow:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return np.array(arrays["flow"], np.float32)
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise ValueError(f"{path}: has no readable array 'flow': {error}") from None


def _decode(path: Path, flags: int) -> npt.NDArray[np.generic]:
    data = _bytes(path)
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error:
        picture = None
    if picture is None:
        raise ValueError(f"{path}: not an image, or damaged")
    return picture


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: can't be read: {error.strerror}") from None
