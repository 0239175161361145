"""A frame in memory: pixels and identity."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.base.moving_thing import Mover

Image: TypeAlias = npt.NDArray[np.uint8]
"""Picture of shape ``(height, width, 3)``, ``uint8``, colours in the order blue, green, red (as OpenCV)."""

Policy: TypeAlias = Literal["newest", "every"]
"""``newest``: late frames are dropped and counted. ``every``: nothing is lost, the source waits."""

StreamState: TypeAlias = Literal["waiting", "up", "down", "ended"]
"""Of a stream's source."""


@dataclass(frozen=True, slots=True, order=True)
class FrameId:
    """Identity of a frame, the key by which frames and predictions are joined.

    Attributes:
        stream_id: Name of the stream; see ``pipeline.base.text.StreamId``.
        session: Unix time in ns at which the capture worker started. It keeps two processes of one worker
            apart, but does not order them: a camera's clock may have been set back in between.
        epoch: Counts the openings of the source and its changes of size, from 0.
        seq: Counts the frames of the stream within the session, from 0; it goes on across epochs.
    """

    stream_id: str
    session: int
    epoch: int
    seq: int

    def is_up_to(self, last: "FrameId | None") -> bool:
        """Whether this is that frame of the same session, or one before it."""
        return last is not None and self.session == last.session and self.seq <= last.seq


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Attributes:
        id: Identity.
        image: Pixels, ``(height, width, 3)`` uint8 BGR; read-only if it lies in a received message.
        capture_ns: Unix time in ns at which the frame left the camera's driver or decoder.
        pts_ns: Time of presentation in ns on the source's own clock (position in the file, RTP time);
            None if the source gives none.
        policy: What to do with this frame when a worker is late.
        skipped: Frames of this session that capture itself has dropped so far, before this one.
        truth: The known label, only from sources that know it (the demo tour).
        movers: What is known to move by itself, only from sources that know it.
        received_ns: Unix time in ns at which this process got it; 0 in the process that captured it.
        full_size: Height and width that the source delivered, if capture has made the picture smaller.
        smeared: Something was lost on its way to the decoder, which has put copies in its place.
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
        """Height of the picture / width."""
        return float(self.image.shape[0] / self.image.shape[1])

    @property
    def time_ns(self) -> int:
        """Place on the stream's timeline: a file's own clock; the time of capture of a live source."""
        return self.pts_ns if self.policy == "every" and self.pts_ns is not None else self.capture_ns
