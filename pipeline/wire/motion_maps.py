"""Packs flow and mask of dense motion into one compressed buffer, and unpacks them.

The mask is ``uint8`` (0 to 255 for a probability of 0 to 1), the flow ``float16``; low and high bytes of the
flow are stored separately, which compresses better. Unpacking stops at the announced size.
"""

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.base.errors import WireError
from pipeline.wire.messages import MotionMapsHeader, Part

MOST_BYTES = 16 * 2**20
"""Maximum size of one frame's unpacked maps."""
_LEVEL = 1  # higher levels take several times as long and save only a few per cent


@dataclass(frozen=True, slots=True)
class MotionMaps:
    """Flow and mask of one frame, read-only; ``h x w`` places, one every 4 px of the model's input.

    Attributes:
        flow: ``(T, 2, h, w)``: from each place to its position in each past frame, oldest first, x right and
            y down, in pixels of the model's input; zeros for an empty slot.
        moving: ``(h, w)``: probability that each place moves independently, 0 to 255.
    """

    flow: npt.NDArray[np.float16]
    moving: npt.NDArray[np.uint8]

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.flow.nbytes + self.moving.nbytes


def pack_maps(
    flow: npt.NDArray[np.float32], moving: npt.NDArray[np.float32]
) -> tuple[MotionMapsHeader, bytes]:
    """Packs flow ``(T, 2, h, w)`` in pixels, and mask ``(h, w)`` from 0 to 1.

    Raises:
        WireError: They are too large.
    """
    past, _, rows, columns = flow.shape
    layout = MotionMapsHeader(past, rows, columns)
    _check_size(layout)
    mask = np.round(moving * 255).astype(np.uint8)
    halves = flow.astype("<f2").reshape(-1).view(np.uint8).reshape(-1, 2)
    return layout, zlib.compress(mask.tobytes() + np.ascontiguousarray(halves.T).tobytes(), _LEVEL)


def check_maps(layout: MotionMapsHeader, packed: Part, max_bytes: int) -> None:
    """Checks the packed and unpacked size of maps.

    Raises:
        WireError: They are too large.
    """
    if len(packed) > max_bytes:
        raise WireError("size", f"motion maps of {len(packed)} bytes; wire.max_frame_mb allows {max_bytes}")
    _check_size(layout)


def unpack_maps(layout: MotionMapsHeader, packed: Part) -> MotionMaps:
    """Unpacks flow and mask.

    Raises:
        WireError: The buffer is damaged or differs in size from ``layout``, or the flow is not finite.
    """
    _check_size(layout)
    size = layout.unpacked_bytes
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(packed, size + 1)
    except zlib.error:
        raise WireError("motion_maps", "damaged motion maps") from None
    if len(raw) != size or not inflater.eof or inflater.unused_data:
        raise WireError("motion_maps", f"motion maps that do not contain the announced {size} bytes")
    places = layout.rows * layout.columns
    moving = np.frombuffer(raw, np.uint8, places).reshape(layout.rows, layout.columns)
    halves = np.frombuffer(raw, np.uint8, offset=places).reshape(2, -1)
    flow = np.ascontiguousarray(halves.T).view("<f2").reshape(layout.past, 2, *moving.shape)
    if not np.isfinite(flow).all():
        raise WireError("motion_maps", "flow that is not finite")
    flow.flags.writeable = False
    return MotionMaps(flow.astype(np.float16, copy=False), moving)


def _check_size(layout: MotionMapsHeader) -> None:
    if layout.unpacked_bytes > MOST_BYTES:
        raise WireError("size", f"motion maps of {layout.unpacked_bytes} bytes, at most {MOST_BYTES} allowed")
