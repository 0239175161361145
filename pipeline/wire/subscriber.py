"""One SUB socket connected to all publishers of one kind; all receivers are built on it."""

import contextlib
import time
from collections.abc import Iterable, Sequence

import zmq

from pipeline.base.config import WireConfig
from pipeline.base.errors import TransportError
from pipeline.base.frame import Policy
from pipeline.base.role_names import Role
from pipeline.wire import address, sockets, topics
from pipeline.wire.links import LinkState, LinkWatch, watch_link
from pipeline.wire.lookup import Lookup
from pipeline.wire.security import SecurityPolicy

_CONNECT_TIMEOUT_MS = 700  # longer than a round trip, short enough to use a restored link soon

_MEND_S = 0.1
_MOST_ENDS = 4096
_UNKNOWN = "host {!r} is not known: check its name and whether the machine is on; retrying"
_RECONNECT_MS = 100
_RECEIVE_BUFFER_BYTES = 256 * 1024


class Subscriber:
    """Receives messages from publishers, which may restart at any time; used by one thread.

    Args:
        sources: Endpoints to connect to, each with the role of the worker that listens there.
        lane: The lane that it receives.
        subscriptions: Topic prefixes, in the order in which publishers see them.
        wire: The ``[wire]`` section.
        security: Security policy of the links.
        queue: Largest number of messages queued for ``receive``.
        whole: Whether to receive all streams of the lane; otherwise only those added with ``begin``.
        most_bytes: Size limit of a part of a message; by default ``wire.max_frame_mb``.
        role: Role of the reading worker; prefix of ``name``.

    Attributes:
        name: Name announced to publishers.
        lane: The lane that it receives.

    Raises:
        TransportError: An endpoint can't be connected to. An unknown host name is no error: it is retried
            until it resolves, and reported by ``pop_troubles``.
        SecurityError: A server needs keys, and this machine's key or the server's public key is missing.
    """

    def __init__(
        self,
        sources: Iterable[tuple[Role, str]],
        lane: Policy,
        subscriptions: Sequence[bytes],
        wire: WireConfig,
        security: SecurityPolicy,
        queue: int,
        most_bytes: int | None = None,
        *,
        whole: bool = True,
        role: str = "other",
    ) -> None:
        self._security = security
        self._sources: dict[str, tuple[Role, address.Address]] = {}
        self._numbers: dict[address.Address, tuple[str, bool]] = {}
        self._lookups: dict[address.Address, tuple[Role, Lookup]] = {}
        self._troubles: dict[str, str] = {}
        self.name = topics.new_reader(role)
        self.lane: Policy = lane
        self._last_end: dict[bytes, bytes] = {}
        self._mend_at = 0.0
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.SUB)
        try:
            self._set_options(wire, queue, most_bytes or int(wire.max_frame_mb * 2**20))
            for subscription in (topics.flush(lane), *subscriptions):
                self.socket.subscribe(subscription)
            if whole:
                self.socket.subscribe(topics.reader(lane, self.name))
            self._links = LinkWatch(self.socket)
            for role, text in sources:
                self._add(role, address.parse(text))
        except ValueError:
            self.close()
            raise

    def receive(self) -> tuple[list[memoryview], zmq.Frame] | None:
        """The next message, not copied, and its first frame for ``sockets.peer``; None if there is none."""
        while sockets.waits(self.socket):
            frames = sockets.receive(self.socket)
            parts = [frame.buffer for frame in frames]
            if len(parts) == 2 and self._was_answered(parts[0], parts[1]):
                continue
            return parts, frames[0]
        return None

    def begin(self, stream_id: str, subscriptions: Sequence[bytes]) -> None:
        """Subscribes to a stream with these topic prefixes; publishers then wait for this reader."""
        for subscription in (*subscriptions, topics.reader(self.lane, self.name, stream_id)):
            self.socket.subscribe(subscription)

    def leave(self, stream_id: str, subscriptions: Sequence[bytes]) -> None:
        """Unsubscribes from a stream added with ``begin``; messages in flight may still arrive."""
        for subscription in (topics.reader(self.lane, self.name, stream_id), *subscriptions):
            self.socket.unsubscribe(subscription)

    def ask_again(self, stream_id: str = "") -> None:
        """Requests the last frames of a stream, or of all, until ``asked_again``; call before ``begin``."""
        self.socket.subscribe(topics.again(self.name, stream_id))

    def asked_again(self, stream_id: str = "") -> None:
        """Withdraws the request, which would otherwise be repeated on each reconnection."""
        self.socket.unsubscribe(topics.again(self.name, stream_id))

    def notify(self, topic: bytes) -> None:
        """Sends a notice to all publishers, by subscribing to it as a topic and unsubscribing again."""
        self.socket.subscribe(topic)
        self.socket.unsubscribe(topic)

    def mend(self) -> None:
        """Connects to newly resolved hosts and reconnects where libzmq has given up; rate-limited."""
        if (now := time.monotonic()) < self._mend_at:
            return
        self._mend_at = now + _MEND_S
        for where, (role, lookup) in list(self._lookups.items()):
            answer = lookup.poll()
            if isinstance(answer, TransportError):
                self._troubles[where.text] = _UNKNOWN.format(where.place)
            elif answer is not None:
                del self._lookups[where]
                self._numbers[where] = answer
                self._connect(role, where)
        refused = self._links.poll()
        self._links.keep(self._sources.keys())
        for endpoint in self._sources.keys() & refused:
            self._troubles[endpoint] = self._security.refusal(self._sources[endpoint][0])
        for endpoint, cause in self._links.given_up().items():
            self._troubles[endpoint] = cause
            with contextlib.suppress(zmq.ZMQError):
                self.socket.disconnect(endpoint)
            self._connect(*self._sources[endpoint])

    def pop_troubles(self) -> dict[str, str]:
        """Endpoints with errors and a human-readable reason; repeated while the error lasts."""
        troubles, self._troubles = self._troubles, {}
        return troubles

    @property
    def links(self) -> dict[str, LinkState]:
        """States of the TCP connections, by role and endpoint; ipc is omitted, as it needs no monitoring."""
        return {
            f"{role} at {where.text}": self._links.states.get(endpoint, "waiting")
            for endpoint, (role, where) in self._sources.items()
            if where.kind == "tcp"
        }

    def check_sources(self, sources: Iterable[tuple[Role, str]]) -> None:
        """See ``Receiver.check_sources``."""
        for role, text in sources:
            address.check_connect(where := address.parse(text))
            self._security.secure_client(self.socket, where, role)

    def replace_sources(self, sources: Iterable[tuple[Role, str]]) -> None:
        """See ``Receiver.replace_sources``."""
        wanted = {address.parse(text): role for role, text in sources}
        for where in (self._numbers.keys() | self._lookups.keys()) - wanted.keys():
            self._lookups.pop(where, None)
            endpoint, _ = self._numbers.pop(where, ("", False))
            if self._sources.pop(endpoint, None) is not None:
                with contextlib.suppress(zmq.ZMQError):
                    self.socket.disconnect(endpoint)
            self._troubles.pop(endpoint, None)
            self._troubles.pop(where.text, None)
        self._links.keep(self._sources.keys())
        for where, role in wanted.items():
            if where not in self._numbers and where not in self._lookups:
                self._add(role, where)

    def close(self) -> None:
        """Disconnects; queued messages are lost."""
        self._context.destroy(linger=0)

    def _add(self, role: Role, where: address.Address) -> None:
        address.check_connect(where)
        if where.named:
            self._security.secure_client(self.socket, where, role)  # report a missing key at the start
            self._lookups[where] = (role, Lookup(where))
        else:
            self._connect(role, where)

    def _connect(self, role: Role, where: address.Address) -> None:
        self._security.secure_client(self.socket, where, role)
        endpoint, self.socket.ipv6 = self._numbers.get(where) or address.to_connect(where)
        try:
            self.socket.connect(endpoint)
        except zmq.ZMQError as error:
            raise TransportError(f"{where.text}: can't connect to this endpoint: {error.strerror}") from None
        self._numbers[where] = (endpoint, bool(self.socket.ipv6))
        self._sources[endpoint] = (role, where)

    def _was_answered(self, topic: memoryview, header: memoryview) -> bool:
        """Acknowledges ends and flushes; True for flushes and repeated ends, which need no processing."""
        is_end = topics.is_end(topic)
        if not is_end and not topics.is_flush(topic):
            return False
        token = topics.token(topic, header)
        self.notify(topics.taken(self.name, token))
        key = bytes(topic[: topics.MAX_BYTES])
        known = self._last_end.get(key) == token
        if is_end and (known or len(self._last_end) < _MOST_ENDS):
            self._last_end[key] = token
        return known or not is_end

    def _set_options(self, wire: WireConfig, queue: int, most_bytes: int) -> None:
        sock = self.socket
        sock.rcvhwm = queue
        sock.rcvbuf = _RECEIVE_BUFFER_BYTES
        sock.maxmsgsize = most_bytes
        sock.linger = 0
        sock.reconnect_ivl = _RECONNECT_MS
        sock.connect_timeout = _CONNECT_TIMEOUT_MS
        sock.handshake_ivl = wire.heartbeat_timeout_ms
        watch_link(sock, wire)


def wait_any(timeout_s: float, subscribers: Iterable[Subscriber]) -> bool:
    """Waits until one of several subscribers has a message; False after the timeout."""
    return bool(ready(timeout_s, subscribers))


def ready(timeout_s: float, subscribers: Iterable[Subscriber]) -> list[Subscriber]:
    """Waits like ``wait_any``; returns the subscribers that have messages."""
    waiting = list(subscribers)
    if not waiting:
        time.sleep(max(0.0, timeout_s))
        return []
    polled = [(subscriber.socket, sockets.POLLIN) for subscriber in waiting]
    deadline = time.monotonic() + timeout_s
    while True:
        for subscriber in waiting:
            subscriber.mend()
        left = deadline - time.monotonic()
        if found := zmq.zmq_poll(polled, max(0, round(min(left, _MEND_S) * 1000))):
            at = dict(found)
            return [subscriber for subscriber in waiting if subscriber.socket in at]
        if left <= _MEND_S:
            return []
