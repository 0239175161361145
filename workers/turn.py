"""A frame that is about to be predicted, with the past frames it uses."""

from dataclasses import dataclass
from typing import Any

from pipeline.base.frame import Frame, FrameId
from pipeline.model.history import Slot
from pipeline.runtime.step import Memory, Result
from pipeline.wire.arrivals import ReceivedFrame


@dataclass(frozen=True, slots=True)
class PastKey:
    """What is kept of a remembered frame beside its keys and values."""

    id: FrameId
    truth: str | None


@dataclass(frozen=True, slots=True)
class Turn:
    """A frame whose turn it is.

    Attributes:
        frame: The frame.
        slots: The remembered frames that it looks at, oldest first; None where there is none.
        reset: Why the cache was emptied just before it; None if it goes on.
        known: The memory of a picture that was the same; None for a new picture.
    """

    frame: Frame
    slots: list[Slot[PastKey] | None]
    reset: str | None
    known: Memory | None

    @property
    def entries(self) -> list[Any]:
        """What the runtime remembers of the slots."""
        return [slot.entry if slot else None for slot in self.slots]

    @property
    def past(self) -> list[Slot[PastKey]]:
        """The slots that hold a frame."""
        return [slot for slot in self.slots if slot]

    @property
    def scored(self) -> bool:
        """Whether the true label is known: across a cut between two motions there is none."""
        truth = self.frame.truth
        return truth is not None and all(slot and slot.key.truth == truth for slot in self.slots)


@dataclass(frozen=True, slots=True)
class LastAnswer:
    """The result for a known picture, and all that it came from."""

    known: Memory
    entries: list[Any]
    result: Result


@dataclass(frozen=True, slots=True)
class WaitingFrame:
    """A frame that waits for its step, and why it can't go on from the frames before it."""

    received: ReceivedFrame
    reset: str | None
