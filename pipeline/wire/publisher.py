"""The sending end: one bound XPUB socket; it may drop ``newest`` messages but no ``every`` messages."""

import errno
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import zmq

from pipeline.base.closing import Closing
from pipeline.base.config import WireConfig
from pipeline.base.errors import TransportError, WireError
from pipeline.base.frame import Policy
from pipeline.flow.freshness.ages import Feedback
from pipeline.wire import address, sockets, topics
from pipeline.wire.audience import Audience
from pipeline.wire.decoding import decode_feedback, decode_take_view
from pipeline.wire.links import watch_link
from pipeline.wire.messages import Part, TakeView
from pipeline.wire.security import Gate, SecurityPolicy
from pipeline.wire.upstream import Upstream

SMALL_QUEUE = 256
"""Queue length for predictions and statistics, which are small and arrive in bursts."""

_SEND_BUFFER_BYTES = 256 * 1024
_MOST_UPSTREAM_BYTES = 1024
_MOST_FEEDBACK = 256
"""Maximum number of streams and sessions with feedback; also of pending view requests."""
_REPEAT_S = 0.05
_PATIENCE = 10  # TCP can't distinguish a stalled reader from a lost machine, so wait longer


@dataclass(slots=True)
class _Delivery:
    """A message that is repeated until it is acknowledged."""

    give_up_at: float
    repeat_at: float = 0.0


class Publisher(Closing):
    """Sends messages to all subscribers of their topic; used only by the thread that created it.

    Messages on a ``newest`` topic never wait: a receiver whose queue is full misses them and detects the gap
    in ``seq``. Messages on an ``every`` topic are sent to all of their receivers or, while one of these has a
    full queue, to none. Such a receiver may stall indefinitely on the same machine; on another machine, it is
    disconnected after ten times ``wire.heartbeat_timeout_ms``.

    Args:
        endpoint: ``ipc://path`` or ``tcp://host:port``; port 0 lets the system choose.
        wire: The ``[wire]`` section.
        security: Security policy of the link.
        queue: Largest number of messages queued per receiver. The default, ``wire.queue_frames``, suits the
            frames of one stream; all streams share the queue, so use ``wire.queue_frames`` per stream.
            ``SMALL_QUEUE`` suits predictions and statistics.

    Attributes:
        endpoint: The bound endpoint, with the actual port.
        audience: The subscribers, as of the last processed notices.

    Raises:
        TransportError: The endpoint can't be bound.
        SecurityError: The endpoint needs keys that are missing.
    """

    def __init__(
        self, endpoint: str, wire: WireConfig, security: SecurityPolicy, *, queue: int | None = None
    ) -> None:
        where = address.parse(endpoint)
        binding = address.to_bind(where)
        self._most_bytes = int(wire.max_frame_mb * 2**20)
        self._lossless = False
        self._patience_s = _PATIENCE * wire.heartbeat_timeout_ms / 1000
        self._deliveries: dict[bytes, _Delivery] = {}
        self.audience = Audience()
        self._feedback: dict[tuple[str, int], Feedback] = {}
        self._views_wanted: dict[str, TakeView] = {}
        self._last: dict[Policy, tuple[Part, Part]] = {}
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._upstream = Upstream(self._socket, where.kind)
        self._gate: Gate | None = None
        self._where, self._file_number = where, 0
        try:
            self._socket.sndhwm = queue or wire.queue_frames
            self._socket.sndbuf = _SEND_BUFFER_BYTES
            self._socket.maxmsgsize = _MOST_UPSTREAM_BYTES
            self._socket.sndtimeo = 0
            self._socket.ipv6 = True
            watch_link(self._socket, wire, _PATIENCE)
            self._socket.xpub_verboser = True
            self._gate = security.secure_server(self._socket, where)
            with address.claim(where):
                self._socket.bind(binding)
                self._file_number = address.file_number(where)
        except zmq.ZMQError as error:
            self.close()
            raise TransportError(f"{endpoint}: {_cause(error)}") from None
        except ValueError:
            self.close()
            raise
        bound = bytes(self._socket.get(zmq.LAST_ENDPOINT)).rstrip(b"\0").decode()
        self.endpoint: str = endpoint if where.kind == "ipc" else bound

    def send(self, parts: Sequence[Part], timeout_s: float = 0.0) -> bool:
        """Sends a message built by ``encoding``; its buffers must not be changed afterwards.

        Args:
            parts: Topic, header, buffers.
            timeout_s: How long to wait for room (``every``), or until all receivers have acknowledged an end
                of stream (``newest``; it is repeated, because a full queue drops it). 0 does not wait.

        Returns:
            False if the time was too short; the call can be repeated with the same message. For the
            end of a ``newest`` stream, False until all receivers have acknowledged it or timed out.

        Raises:
            WireError: The message is larger than receivers accept.
        """
        self._check(parts)
        self._hear()
        if topics.loses_nothing(parts[0]):
            return self._send(parts, True, timeout_s)
        if topics.is_end(parts[0]):
            return self._deliver(parts, "newest", timeout_s)
        return self._send(parts, False, 0.0)

    def listeners(self) -> Counter[str]:
        """Number of connected receivers of each role (``inference``, ``sink``)."""
        self._hear()
        return self.audience.roles

    def pop_feedback(self) -> list[Feedback]:
        """The latest feedback of each stream and session since the last call.

        Feedback queued during a link failure arrives all at once, and only the latest is relevant.
        """
        self._hear()
        feedback, self._feedback = list(self._feedback.values()), {}
        return feedback

    def pop_views_wanted(self) -> list[TakeView]:
        """The latest view request of each stream since the last call."""
        self._hear()
        wanted, self._views_wanted = list(self._views_wanted.values()), {}
        return wanted

    def pop_refused(self) -> list[str]:
        """Reports of peers whose keys are not allowed or that sent too much; at most one a minute each."""
        return self._upstream.rejects.pop_reports() + (self._gate.pop_reports() if self._gate else [])

    def refused_lately(self) -> str:
        """Suffix for messages about missing receivers: peers with rejected keys; empty if there are none."""
        peers = self._gate.lately() if self._gate else ""
        return f"; peers refused here because their keys are not allowed: {peers}" if peers else ""

    def settle(self, lane: Policy, timeout_s: float, meanwhile: Callable[[], None] | None = None) -> bool:
        """Waits until all receivers of a lane have read all earlier messages; False after the timeout.

        Args:
            lane: The lane.
            timeout_s: How long to wait.
            meanwhile: Called repeatedly during the wait; must return quickly.
        """
        question, until = (topics.flush(lane), topics.new_reader()), time.monotonic() + timeout_s
        while not (done := self._deliver(question, lane, 0.0 if meanwhile else timeout_s)):
            if meanwhile is None or time.monotonic() >= until:
                break
            meanwhile()
            self._hear()
        if done:
            return True
        token = topics.token(*question)
        del self._deliveries[token]
        self.audience.forget(token)
        return False

    def close(self, linger_s: float = 0.0) -> None:
        """Waits at most ``linger_s`` seconds for queued messages to be delivered, then disconnects."""
        address.release(self._where, self._file_number)
        if linger_s > 0 and not self._context.closed:
            # Data in system buffers is lost if a connection closes while its reader's queue is full.
            self._flush(linger_s)
        self._upstream.close()
        self._socket.close(linger=0)
        self._context.term()
        if self._gate:
            self._gate.join()

    def _asked_again(self, name: bytes, stream_id: str) -> None:
        """Handles a request for past messages; only frames are kept: see ``FramePublisher``."""

    def _check(self, parts: Sequence[Part]) -> None:
        if (largest := max(map(len, parts))) > self._most_bytes:
            raise WireError(
                "size", f"a message of {largest} bytes; wire.max_frame_mb allows {self._most_bytes}"
            )

    def _send(self, parts: Sequence[Part], lossless: bool, timeout_s: float) -> bool:
        """Sends once: to all receivers with room or, if lossless, to all or none."""
        if lossless != self._lossless:
            # libzmq reads the flag on each send, so one socket serves both lanes.
            self._socket.setsockopt(zmq.XPUB_NODROP, int(lossless))
            self._lossless = lossless
        if not sockets.send(self._socket, parts, max(0, int(timeout_s * 1000))):
            return False
        lane: Policy = "every" if topics.loses_nothing(parts[0]) else "newest"
        message = (parts[0], parts[1])
        if topics.is_end(message[0]):
            self.audience.ask(topics.token(*message))
        if (before := self._last.get(lane, message)) != message and topics.is_end(before[0]):
            self._forget(topics.token(*before))
        self._last[lane] = message
        return True

    def _flush(self, timeout_s: float) -> None:
        """Waits on each lane for an acknowledgement: of the last message if it is an end, else of a flush."""
        self._hear()
        deadline = time.monotonic() + timeout_s
        for lane, last in list(self._last.items()):
            stream_id = topics.ended_stream(last[0])
            # Receivers of other streams may still have frames in flight, so they need a flush.
            if stream_id is None or self.audience.readers(lane) != self.audience.readers(lane, stream_id):
                last, stream_id = (topics.flush(lane), topics.new_reader()), None
            if not self.audience.all_took(lane, topics.token(*last), stream_id):
                self._deliver(last, lane, deadline - time.monotonic())

    def _deliver(self, parts: Sequence[Part], lane: Policy, timeout_s: float) -> bool:
        """Repeats a message until all receivers of a lane have acknowledged it, disconnected or timed out."""
        token, now = topics.token(parts[0], parts[1]), time.monotonic()
        stream_id = topics.ended_stream(parts[0])
        deadline = now + timeout_s
        delivery = self._deliveries.setdefault(token, _Delivery(now + self._patience_s))
        self.audience.ask(token)
        while not (done := self.audience.all_took(lane, token, stream_id)) or not delivery.repeat_at:
            if (now := time.monotonic()) >= delivery.repeat_at:
                self._send(parts, False, 0.0)
                delivery.repeat_at = now + _REPEAT_S
            elif now >= min(deadline, delivery.give_up_at):
                break
            else:
                left = min(delivery.repeat_at, deadline) - now
                self._socket.poll(math.ceil(left * 1000), zmq.POLLIN)
                self._hear()
        if not done and time.monotonic() < delivery.give_up_at:
            return False
        del self._deliveries[token]
        if self._last.get(lane, parts)[:2] != (parts[0], parts[1]):
            self._forget(token)
        return True

    def _forget(self, token: bytes) -> None:
        """Drops acknowledgements, unless the message is still being repeated."""
        if token not in self._deliveries:
            self.audience.forget(token)

    def _hear(self) -> None:
        """Processes pending notices: subscriptions, feedback and requests."""
        for notice in self._upstream.take():
            if (feedback := decode_feedback(notice)) is not None:
                if len(self._feedback) < _MOST_FEEDBACK:
                    self._feedback[feedback.stream_id, feedback.session] = feedback
            elif (wanted := decode_take_view(notice)) is not None:
                if len(self._views_wanted) < _MOST_FEEDBACK:
                    self._views_wanted[wanted.stream_id] = wanted
            elif (asked := topics.asks_again(notice)) is not None:
                self._asked_again(*asked)
            else:
                self.audience.note(notice)
        if self._gate:
            self._upstream.cut_unless(self._gate.admits)


def _cause(error: zmq.ZMQError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "already used by another program: stop it or choose another port"
    if error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV):
        return "not an address of this machine: use one of its own, or * for all"
    return f"can't be bound: {error.strerror}"
