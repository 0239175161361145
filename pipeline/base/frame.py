"""A frame in memory: pixels and identity."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.base.moving_thing import Mover

Image: TypeAlias = npt.NDArray[np.uint8]
"""Image of shape ``(height, width, 3)``, ``uint8``, BGR as in OpenCV."""

Policy: TypeAlias = Literal["newest", "every"]
"""``newest``: late frames are dropped and counted. ``every``: the source waits and no frame is lost."""

StreamState: TypeAlias = Literal["waiting", "up", "down", "ended"]
"""State of a stream's source."""


@dataclass(frozen=True, slots=True, order=True)
class FrameId:
    """Identity of a frame: the key that joins frames and predictions.

    Attributes:
        stream_id: Name of the stream; see ``pipeline.base.text.StreamId``.
        session: Unix time in ns at which the capture worker started. It distinguishes processes of one
            worker but does not order them: the machine's clock may have been set back in between.
        epoch: Number of reopenings and size changes of the source, from 0.
        seq: Number of the frame within the session, from 0; continues across epochs.
    """

    stream_id: str
    session: int
    epoch: int
    seq: int

    def is_up_to(self, last: "FrameId | None") -> bool:
        """Whether this frame is ``last`` or an earlier frame of the same session."""
        return last is not None and self.session == last.session and self.seq <= last.seq


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Attributes:
        id: Identity.
        image: Pixels, ``(height, width, 3)`` uint8 BGR; read-only if it lies in a received message.
        capture_ns: Unix time in ns at which the frame left the camera's driver or decoder.
        pts_ns: Presentation time in ns on the source's own clock (position in the file, RTP time);
            None if the source provides none.
        policy: What to do with this frame when a worker is late.
        skipped: Frames of this session that capture itself dropped before this one.
        truth: Ground-truth label, only from sources that provide it (the demo tour).
        movers: Ground-truth moving objects, only from sources that provide them.
        received_ns: Unix time in ns at which this process received it; 0 in the process that captured it.
        full_size: Height and width that the source delivered, if capture has downscaled the frame.
        smeared: Whether data was lost before decoding and the decoder filled the gap with copied pixels.
    """

    id: FrameId
    image: Image
    capture_ns: int
    pts_ns: int | None = None
    policy: Policy = "newest"
    skipped: int = 0
    truth: str | None = None
    movers: list[Mover] | None = None
    received_ns: int = 0
    full_size: tuple[int, int] | None = None
    smeared: bool = False

    @property
    def aspect(self) -> float:
        """Image height / width."""
        return float(self.image.shape[0] / self.image.shape[1])

    @property
    def time_ns(self) -> int:
        """Position on the stream's timeline: a file's own clock, or the capture time of a live source."""
        return self.pts_ns if self.policy == "every" and self.pts_ns is not None else self.capture_ns
