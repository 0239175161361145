"""Packs flow and mask of dense motion into one compressed buffer, and unpacks them.

The mask is ``uint8`` (0 to 255 for a probability of 0 to 1), the flow ``float16``; low and high bytes of the
flow lie apart, which compresses better. A buffer is unpacked up to the announced size and no further.
"""

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.base.errors import WireError
from pipeline.wire.messages import MotionMapsHeader, Part

MOST_BYTES = 16 * 2**20
"""Of one frame's maps when they are unpacked."""
_LEVEL = 1  # the higher ones take several times as long, for a few per cent


@dataclass(frozen=True, slots=True)
class MotionMaps:
    """Flow and mask of one frame, read-only; ``h x w`` places, 4 px of the model's input each.

    Attributes:
        flow: ``(T, 2, h, w)``: from each place to where it was in each past frame, oldest first, x right and
            y down, in pixels of the model's input; zeros for an empty slot.
        moving: ``(h, w)``: how surely each place moves by itself, 0 to 255.
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
    """Refuses maps that are too large, packed or unpacked.

    Raises:
        WireError: They are.
    """
    if len(packed) > max_bytes:
        raise WireError("size", f"motion maps of {len(packed)} bytes, wire.max_frame_mb allows {max_bytes}")
    _check_size(layout)


def unpack_maps(layout: MotionMapsHeader, packed: Part) -> MotionMaps:
    """Unpacks flow and mask.

    Raises:
        WireError: The buffer is damaged, holds another number of bytes than announced, or flow that is not
            finite.
    """
    _check_size(layout)
    size = layout.unpacked_bytes
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(packed, size + 1)
    except zlib.error:
        raise WireError("motion_maps", "damaged motion maps") from None
    if len(raw) != size or not inflater.eof or inflater.unused_data:
        raise WireError("motion_maps", f"motion maps that do not hold the {size} bytes announced")
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
        raise WireError("size", f"motion maps of {layout.unpacked_bytes} bytes, allowed are {MOST_BYTES}")
