"""Received frames and predictions: validated but not yet decoded."""

from dataclasses import dataclass

from pipeline.base.errors import WireError
from pipeline.base.frame import Frame
from pipeline.wire.decoding import decode_frame
from pipeline.wire.memory import MemoryBudget
from pipeline.wire.messages import Attention, FrameHeader, Part, Prediction
from pipeline.wire.motion_maps import MotionMaps


@dataclass(frozen=True, slots=True, weakref_slot=True)
class ReceivedFrame:
    """A validated frame whose pixels are not decoded yet.

    Attributes:
        header: Its header.
        pixels: Its encoded pixels.
        received_ns: Unix time in ns at which it was read from the socket.
        budget: Memory budget that it is charged to.
        lost: Why it has no pixels, or None.
        replayed: Whether it was first sent before this reader joined the stream, and sent again on request.
    """

    header: FrameHeader
    pixels: Part
    received_ns: int
    budget: MemoryBudget
    lost: WireError | None = None
    replayed: bool = False

    def __post_init__(self) -> None:
        if self.lost is None:
            self.budget.charge(self, self.header.decoded_bytes)

    def decode(self, *, full_size: bool = False) -> Frame:
        """Decodes the frame; raw pixels are not copied.

        Args:
            full_size: Whether to scale a frame that capture has downscaled back to its original size.

        Raises:
            WireError: ``jpeg``: the image is damaged. ``overwritten``: its shared memory was reused because
                this reader was too slow. Pass the error to the receiver's ``rejects.add``.
        """
        if self.lost:
            raise self.lost
        frame = decode_frame(self.header, self.pixels, self.received_ns, full_size=full_size)
        self.budget.charge(frame.image, frame.image.nbytes)
        return frame


@dataclass(frozen=True, slots=True, weakref_slot=True)
class ReceivedPrediction:
    """A validated prediction.

    Attributes:
        prediction: The prediction.
        attention: Its attention weights, read-only, or None if they were not sent.
        received_ns: Unix time in ns at which it was taken from the socket.
        motion_maps: Flow and mask, or None if they were not sent.
    """

    prediction: Prediction
    attention: Attention | None
    received_ns: int
    motion_maps: MotionMaps | None = None
