"""A frame that is about to be predicted, with the past frames it uses."""

from dataclasses import dataclass
from typing import Any

from pipeline.base.frame import Frame, FrameId
from pipeline.model.history import Slot
from pipeline.runtime.step import Memory, Result
from pipeline.wire.arrivals import ReceivedFrame


@dataclass(frozen=True, slots=True)
class PastKey:
    """Identity and label of a cached frame."""

    id: FrameId
    truth: str | None


@dataclass(frozen=True, slots=True)
class Turn:
    """A frame to predict.

    Attributes:
        frame: The frame.
        slots: The cached frames that it uses, oldest first; None for empty slots.
        reset: Why the cache was emptied just before it; None if it was not.
        known: The cache entry of an identical image; None for a new image.
    """

    frame: Frame
    slots: list[Slot[PastKey] | None]
    reset: str | None
    known: Memory | None

    @property
    def entries(self) -> list[Any]:
        """The cache entries of the slots."""
        return [slot.entry if slot else None for slot in self.slots]

    @property
    def past(self) -> list[Slot[PastKey]]:
        """The slots that hold a frame."""
        return [slot for slot in self.slots if slot]

    @property
    def scored(self) -> bool:
        """Whether the true label is known; across a cut between two motions it is not."""
        truth = self.frame.truth
        return truth is not None and all(slot and slot.key.truth == truth for slot in self.slots)


@dataclass(frozen=True, slots=True)
class LastAnswer:
    """The result for a known image, and its inputs."""

    known: Memory
    entries: list[Any]
    result: Result


@dataclass(frozen=True, slots=True)
class WaitingFrame:
    """A frame waiting for its step, and why it can't use the frames before it, if so."""

    received: ReceivedFrame
    reset: str | None
