"""Received frames and predictions: validated, not decoded yet."""

from dataclasses import dataclass

from pipeline.base.errors import WireError
from pipeline.base.frame import Frame
from pipeline.wire.decoding import decode_frame
from pipeline.wire.memory import MemoryBudget
from pipeline.wire.messages import Attention, FrameHeader, Part, Prediction
from pipeline.wire.motion_maps import MotionMaps


@dataclass(frozen=True, slots=True, weakref_slot=True)
class ReceivedFrame:
    """A frame as it arrived: checked, its pixels not decoded yet.

    Attributes:
        header: Its header.
        pixels: Its packed pixels.
        received_ns: Unix time in ns at which it was taken from the socket.
        budget: What its memory is counted by.
        lost: Why it has no pixels, or None.
        replayed: It was sent before this reader began with its stream, and once more because that asked.
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
        """The frame; raw pixels are not copied.

        Args:
            full_size: Give a picture that capture has made smaller the size that it had.

        Raises:
            WireError: ``jpeg``: the picture is damaged. ``overwritten``: it lay in shared memory, and this
                reader was too slow. Hand it to the receiver's ``rejects.add``.
        """
        if self.lost:
            raise self.lost
        frame = decode_frame(self.header, self.pixels, self.received_ns, full_size=full_size)
        self.budget.charge(frame.image, frame.image.nbytes)
        return frame


@dataclass(frozen=True, slots=True, weakref_slot=True)
class ReceivedPrediction:
    """A prediction as it arrived.

    Attributes:
        prediction: What was predicted.
        attention: Its weights, read-only, or None if they were not sent.
        received_ns: Unix time in ns at which it was taken from the socket.
        motion_maps: Flow and mask, or None if they were not sent.
    """

    prediction: Prediction
    attention: Attention | None
    received_ns: int
    motion_maps: MotionMaps | None = None
