"""Joins frames of a stream with their predictions by session, epoch and sequence number."""

from collections import deque
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from pipeline.base.frame import Frame, FrameId

P = TypeVar("P")
Outcome = Literal["predicted", "skipped", "timeout"]


@dataclass(frozen=True, slots=True)
class Joined(Generic[P]):
    """A frame that has finished waiting.

    Attributes:
        frame: The frame.
        prediction: Its prediction, or None.
        outcome: ``predicted``; ``skipped``: inference dropped it, moved on to a later frame or has ended;
            ``timeout``: no prediction arrived in time.
    """

    frame: Frame
    prediction: P | None
    outcome: Outcome


class Joiner(Generic[P]):
    """Holds the frames of one stream, in order, until their predictions arrive or a time limit expires.

    Predictions arrive in the order of their frames, so a prediction for a later frame shows that inference
    has skipped the earlier ones. The time limit of an every-frame stream restarts with each prediction: as
    long as inference makes progress, every frame gets its prediction.

    Args:
        capacity: Largest number of waiting frames.
        timeout_ns: Longest wait of a frame of a live stream.
        patience_ns: Longest time without a new prediction in an every-frame stream.
    """

    def __init__(self, capacity: int, timeout_ns: int, patience_ns: int) -> None:
        self._capacity = capacity
        self._timeout_ns = timeout_ns
        self._patience_ns = patience_ns
        self._waiting: deque[Frame] = deque()
        self._predictions: dict[FrameId, P] = {}
        self._newest_prediction: FrameId | None = None
        self._progress_ns = 0
        self._released: FrameId | None = None
        self._session: int | None = None
        self._ended: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def room(self) -> int:
        """Number of frames that can be added without an eviction."""
        return self._capacity - len(self._waiting)

    def add_frame(self, frame: Frame) -> Frame | None:
        """Adds the next frame; returns the oldest one if it was evicted."""
        evicted = self._release() if self.room <= 0 else None
        self._session = frame.id.session
        self._waiting.append(frame)
        return evicted

    def add_prediction(self, frame_id: FrameId, prediction: P, now_ns: int) -> None:
        """Adds a prediction; ignores it if its frame has already been released."""
        self._progress_ns = now_ns
        self._newest_prediction = frame_id
        if self._released is not None and _not_after(frame_id, self._released):
            return
        self._predictions[frame_id] = prediction
        while len(self._predictions) > 4 * self._capacity:  # their frames never arrived
            del self._predictions[next(iter(self._predictions))]

    def add_unpredicted(self, frame_id: FrameId, now_ns: int) -> None:
        """Records that a frame gets no prediction, so that it and earlier frames stop waiting."""
        self._progress_ns = now_ns
        self._newest_prediction = frame_id

    def end_predictions(self, session: int, epoch: int) -> None:
        """Records that no more predictions will arrive for this session up to this epoch."""
        self._ended = session, epoch

    def pop_ready(self, now_ns: int) -> Joined[P] | None:
        """The oldest frame if it has finished waiting, otherwise None; call it until it returns None."""
        if not self._waiting:
            return None
        frame = self._waiting[0]
        outcome = self._outcome(frame, now_ns)
        if outcome is None:
            return None
        prediction = self._predictions.get(frame.id)
        self._release()
        return Joined(frame, prediction, outcome)

    def _outcome(self, frame: Frame, now_ns: int) -> Outcome | None:
        if frame.id in self._predictions:
            return "predicted"
        if self._passed(frame.id) or self._has_ended(frame.id):
            return "skipped"
        if frame.policy == "every":
            late = now_ns - max(frame.received_ns, self._progress_ns) >= self._patience_ns
        else:
            late = now_ns - frame.received_ns >= self._timeout_ns
        return "timeout" if late else None

    def _passed(self, frame_id: FrameId) -> bool:
        """Whether inference has processed this or a later frame, possibly of a restarted capture worker."""
        newest = self._newest_prediction
        if newest is None:
            return False
        if newest.session == frame_id.session:
            return newest >= frame_id
        return newest.session == self._session

    def _has_ended(self, frame_id: FrameId) -> bool:
        if self._ended is None:
            return False
        session, epoch = self._ended
        return frame_id.session == session and frame_id.epoch <= epoch

    def _release(self) -> Frame:
        frame = self._waiting.popleft()
        self._released = frame.id
        for frame_id in [known for known in self._predictions if _not_after(known, frame.id)]:
            del self._predictions[frame_id]
        return frame


def _not_after(one: FrameId, other: FrameId) -> bool:
    """Whether ``one`` is at or before ``other`` in its session.

    Sessions are not ordered, because a machine's clock may be set back.
    """
    return one.session == other.session and one <= other
