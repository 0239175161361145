"""Receives frames: through the socket, or out of shared memory."""

from collections.abc import Collection, Sequence

from pipeline.base.clock import now_ns
from pipeline.base.config import WireConfig
from pipeline.base.errors import WireError
from pipeline.base.frame import Policy
from pipeline.base.role_names import Listener, Role
from pipeline.flow.freshness.ages import Feedback
from pipeline.wire import topics
from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.decoding import decode_place
from pipeline.wire.encoding import encode_feedback
from pipeline.wire.messages import (
    EndOfStream,
    FrameHeader,
    Message,
    Offer,
    Part,
)
from pipeline.wire.receivers import LanedReceiver
from pipeline.wire.security import SecurityPolicy
from pipeline.wire.shared.mapping import Windows

_STREAMS = 16
_MOST_WAITING = 64


class FrameReceiver(LanedReceiver[ReceivedFrame]):
    """Receives frames and ends of streams from all capture workers.

    Args:
        endpoints: Where capture workers publish.
        role: What to announce to them.
        wire: ``[wire]``.
        security: What the links must have.
        streams: Those to take at first; None for all, now and later.

    Raises:
        TransportError: An endpoint can't be connected to.
        SecurityError: The public key of the capture machine is missing.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        role: Listener,
        wire: WireConfig,
        security: SecurityPolicy,
        streams: Collection[str] | None = None,
    ) -> None:
        sources: list[tuple[Role, str]] = [("capture", endpoint) for endpoint in endpoints]
        queue = wire.queue_frames
        # Taken wholly at each poll, so a burst of all streams must fit; memory sets the limit.
        newest_queue = max(queue, min(queue * _STREAMS, _MOST_WAITING))
        super().__init__(
            sources,
            lambda lane, stream_id: [topics.frames(lane, stream_id), topics.offer(lane, stream_id)],
            role,
            wire,
            security,
            queue,
            newest_queue,
            streams,
        )
        self._windows: dict[Policy, Windows] = {
            "newest": Windows(self._newest, "newest", self._most_bytes),
            "every": Windows(self._every, "every", self._most_bytes),
        }

    def send_feedback(self, feedback: Feedback) -> None:
        """Sends all capture workers the age of a stream's predictions; only its own one uses it."""
        self._newest.notify(encode_feedback(feedback))

    def poll(self, timeout_s: float = 0.0, max_every: int = 64) -> list[ReceivedFrame | EndOfStream]:
        """Takes what has arrived: see ``LanedReceiver.poll``; copies frames out of shared memory."""
        taken = super().poll(timeout_s, max_every)
        self._windows["every"].give_back()
        for windows in self._windows.values():
            windows.sweep()
        return taken

    def close(self) -> None:
        """Disconnects, and lets go of shared memory."""
        super().close()
        for windows in self._windows.values():
            windows.close()

    def _accept(self, message: Message, parts: Sequence[Part]) -> ReceivedFrame | EndOfStream | None:
        if isinstance(message, FrameHeader | EndOfStream | Offer) and not self.takes(message.stream_id):
            return None  # of a stream whose name begins as one of ours, or that was left
        if isinstance(message, FrameHeader):
            return self._frame(message, parts[2])
        if isinstance(message, EndOfStream):
            return message
        if isinstance(message, Offer):
            lane: Policy = "every" if topics.is_offer(parts[0], "every") else "newest"
            self._windows[lane].answer(message)
            return None
        raise WireError("topic", f"a {type(message).__name__} among frames")

    def _frame(self, header: FrameHeader, pixels: Part) -> ReceivedFrame | None:
        if header.policy == "newest":
            self._budget.check(header.decoded_bytes)
        if header.encoding != "shm":
            return ReceivedFrame(header, pixels, now_ns(), self._budget)
        token, ticket = decode_place(pixels)
        windows = self._windows[header.policy]
        if windows.refused(token):
            return None  # its pixels come next
        try:
            copy = windows.read(token, ticket, header.height * header.width * 3)
        except WireError as error:
            if error.reason != "overwritten":
                raise
            return ReceivedFrame(header, b"", now_ns(), self._budget, lost=error)
        return ReceivedFrame(header, copy, now_ns(), self._budget)
