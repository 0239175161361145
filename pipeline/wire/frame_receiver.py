"""Receives frames from the socket or from shared memory."""

import time
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
from pipeline.wire.subscriber import wait_any

_ASK_S = 2.0
"""How long a request for past frames is active; the connection to capture may not be up yet."""
_HARMLESS = (
    "(counted as wire.overwritten); harmless if it is rare, otherwise lower the frame rate (capture.fps)"
)
_TOO_SLOW: dict[Listener, str] = {
    "inference": f"inference was too slow to read a frame, which has no prediction {_HARMLESS}",
    "sink": f"the sink was too slow to read a frame, which is not shown or recorded {_HARMLESS}",
}
_STREAMS = 16
_MOST_WAITING = 64


class FrameReceiver(LanedReceiver[ReceivedFrame]):
    """Receives frames and ends of streams from all capture workers.

    Args:
        endpoints: Endpoints of the capture workers.
        role: Role to announce to them.
        wire: The ``[wire]`` section.
        security: Security policy of the links.
        streams: Initial streams; None for all, present and future.
        replay: Whether to request recent frames of these streams: see ``begin``.

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
        *,
        replay: bool = False,
    ) -> None:
        sources: list[tuple[Role, str]] = [("capture", endpoint) for endpoint in endpoints]
        queue = wire.queue_frames
        # Drained at each poll, so a burst of all streams must fit; memory sets the limit.
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
        self._role: Listener = role
        self._asked_until: dict[str, float] = {}  # by stream, "" for all
        self._newest_seen: dict[str, tuple[int, int, int]] = {}
        if replay:
            for stream_id in [""] if streams is None else streams:
                self._ask_again(stream_id)

    def begin(self, stream_id: str, *, replay: bool = False) -> None:
        """Subscribes to a stream; does nothing if it is received already.

        Args:
            stream_id: The stream.
            replay: Whether to request the frames of the last ``capture.replay_ms`` if the stream is live.
                They arrive once, oldest first and before newer ones if time permits, and are marked as
                ``ReceivedFrame.replayed``.
        """
        if replay and not self.takes(stream_id):
            self._ask_again(stream_id)  # first, so that no newer frame arrives before them
        super().begin(stream_id)

    def leave(self, stream_id: str) -> None:
        """Unsubscribes from a stream.

        Raises:
            KeyError: It was not subscribed to by name.
        """
        super().leave(stream_id)
        self._ask_no_more(stream_id)

    def send_feedback(self, feedback: Feedback) -> None:
        """Sends a stream's prediction age to all capture workers; only the stream's own worker uses it."""
        self._newest.notify(encode_feedback(feedback))

    @property
    def has_waiting(self) -> bool:
        """Whether messages are waiting, including those held back for lack of memory."""
        return wait_any(0.0, self._subscribers)

    def poll(self, timeout_s: float = 0.0, max_every: int = 64) -> list[ReceivedFrame | EndOfStream]:
        """Receives pending messages: see ``LanedReceiver.poll``; copies frames out of shared memory."""
        taken = super().poll(timeout_s, max_every)
        self._windows["every"].give_back()
        if self._asked_until:
            now = time.monotonic()
            for stream_id in [one for one, until in self._asked_until.items() if until < now]:
                self._ask_no_more(stream_id)
        for windows in self._windows.values():
            windows.sweep()
        return taken

    def close(self) -> None:
        """Disconnects and unmaps shared memory."""
        super().close()
        for windows in self._windows.values():
            windows.close()

    def _accept(self, message: Message, parts: Sequence[Part]) -> ReceivedFrame | EndOfStream | None:
        if isinstance(message, FrameHeader | EndOfStream | Offer) and not self.takes(message.stream_id):
            return None  # the stream was left, or its name only begins with that of a received one
        if isinstance(message, FrameHeader):
            replayed = topics.is_again(parts[0])
            if not (self._is_news(message, replayed) if self._asked_until else not replayed):
                return None
            return self._frame(message, parts[2], replayed)
        if isinstance(message, EndOfStream):
            return message
        if isinstance(message, Offer):
            lane: Policy = "every" if topics.is_offer(parts[0], "every") else "newest"
            self._windows[lane].answer(message)
            return None
        raise WireError("topic", f"unexpected {type(message).__name__} among frames")

    def _ask_again(self, stream_id: str) -> None:
        self._newest.ask_again(stream_id)
        self._asked_until[stream_id] = time.monotonic() + _ASK_S

    def _ask_no_more(self, stream_id: str) -> None:
        if self._asked_until.pop(stream_id, None) is not None:
            self._newest.asked_again(stream_id)
        if not self._asked_until:
            self._newest_seen.clear()

    def _is_news(self, header: FrameHeader, replayed: bool) -> bool:
        """Whether to accept a frame: one that is sent again must be newer than any received before."""
        place, before = (header.session, header.epoch, header.seq), self._newest_seen.get(header.stream_id)
        if replayed and before is not None and place <= before:
            return False
        if before is None or place > before:
            self._newest_seen[header.stream_id] = place
        return True

    def _frame(self, header: FrameHeader, pixels: Part, replayed: bool) -> ReceivedFrame | None:
        if header.policy == "newest":
            self._budget.check(header.decoded_bytes)
        if header.encoding != "shm":
            return ReceivedFrame(header, pixels, now_ns(), self._budget, replayed=replayed)
        token, ticket = decode_place(pixels)
        windows = self._windows[header.policy]
        if windows.refused(token):
            return None  # its pixels follow through the socket
        try:
            copy = windows.read(token, ticket, header.height * header.width * 3)
        except WireError as error:
            if error.reason != "overwritten":
                raise
            late = WireError("overwritten", _TOO_SLOW[self._role])
            return ReceivedFrame(header, b"", now_ns(), self._budget, lost=late)
        return ReceivedFrame(header, copy, now_ns(), self._budget)
