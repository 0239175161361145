"""Notices that receivers send to a bound socket, with a limit for each peer.

Every subscription reaches the publisher as a notice and stays in libzmq's memory while the peer is connected.
Without a limit, a hostile peer could block the publisher and fill its memory.
"""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import zmq

from pipeline.base.errors import WireError
from pipeline.wire import sockets
from pipeline.wire.rejects import Rejects

MOST_TOPICS = 20_000
"""Limit per address: active subscriptions, and new ones in ten seconds.

Feedback on 256 streams needs 10,000 in that time; a reader of 256 segments has about 500 subscriptions."""
_WINDOW_S = 10.0
_SLICE = 1000


@dataclass(slots=True)
class _Peer:
    """Notices of one address.

    Attributes:
        topics: Active subscriptions; those of a closed connection count until all its connections are closed.
        recent: Subscriptions since ``since``.
        since: Start of the window, in monotonic seconds.
    """

    topics: int = 0
    recent: int = 0
    since: float = 0.0


class Upstream:
    """Receives the notices of an XPUB socket; used by the socket's thread.

    Create it before the socket is bound. Peers are distinguished by their address. Peers on an ipc path have
    none and are never disconnected.

    Args:
        sock: The socket.
        kind: Kind of the socket's endpoint.

    Attributes:
        rejects: Disconnected peers.
    """

    def __init__(self, sock: "zmq.Socket[bytes]", kind: Literal["ipc", "tcp"]) -> None:
        self._socket, self._kind = sock, kind
        self._monitor = sockets.monitor(sock, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self._connections: dict[int, str] = {}
        self._users: dict[int, tuple[str, str]] = {}  # by descriptor: key and address
        self._peers: dict[str, _Peer] = {}
        self.rejects = Rejects()

    def take(self) -> Iterator[bytes]:
        """Yields pending notices: 1 (subscribed) or 0 (unsubscribed or disconnected), then the topic.

        At most a thousand per call, so that the caller is not blocked.
        """
        self._follow_connections()
        for _ in range(_SLICE):
            if not sockets.waits(self._socket):
                return
            frame = self._socket.recv(zmq.NOBLOCK, copy=False)
            if self._kind == "tcp":
                address = sockets.peer(frame)
                self._count(address, frame.bytes)
                if user := sockets.user(frame):
                    self._users[sockets.descriptor(frame)] = (user, address)
            yield frame.bytes

    def cut_unless(self, admitted: Callable[[str], bool]) -> None:
        """Closes the connections of users that are no longer admitted and have sent a notice."""
        for number, (user, address) in list(self._users.items()):
            if not admitted(user):
                del self._users[number]
                text = f"its public key {user} was removed: its connection was closed"
                self.rejects.add(address, WireError("key", text))
                _shut_down(number, address)

    def close(self) -> None:
        """Stops monitoring the connections; call it before the socket is closed."""
        if not self._monitor.closed:
            self._socket.disable_monitor()
            self._monitor.close(linger=0)

    def _count(self, address: str, notice: bytes) -> None:
        """Counts a notice of a peer, and disconnects the peer if there are too many."""
        if address not in self._connections.values():
            return  # was in flight when the peer disconnected
        peer = self._peers.setdefault(address, _Peer())
        if notice[:1] != b"\x01":
            peer.topics -= 1
            return
        if (now := time.monotonic()) - peer.since > _WINDOW_S:
            peer.recent, peer.since = 0, now
        peer.topics += 1
        peer.recent += 1
        if max(peer.topics, peer.recent) > MOST_TOPICS:
            self._cut_off(address)

    def _cut_off(self, address: str) -> None:
        text = f"more than {MOST_TOPICS} subscriptions: its connections were closed"
        self.rejects.add(address, WireError("flood", text))
        for number, theirs in self._connections.items():
            if theirs == address:
                _shut_down(number, address)

    def _follow_connections(self) -> None:
        for kind, number, _ in sockets.events(self._monitor, _SLICE):
            if kind == zmq.EVENT_ACCEPTED:
                self._connections[number] = _address(number)
                continue
            if not _address(number):  # otherwise a new connection has reused the number
                self._users.pop(number, None)
            address = self._connections.pop(number, "")
            if address not in self._connections.values():
                self._peers.pop(address, None)


def _address(number: int) -> str:
    """Remote address of a connection; empty if it is closed."""
    try:
        with _borrowed(number) as connection:
            peer = connection.getpeername()  # empty for ipc
            return str(peer[0]).removeprefix("::ffff:") if peer else ""
    except OSError:
        return ""


def _shut_down(number: int, address: str) -> None:
    """Shuts a connection down, unless its descriptor has been reused for another address."""
    if _address(number) == address:
        with contextlib.suppress(OSError), _borrowed(number) as connection:
            connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _borrowed(number: int) -> Iterator[socket.socket]:
    """A Python socket for a descriptor that libzmq owns; the descriptor is not closed."""
    connection = socket.socket(fileno=number)
    try:
        yield connection
    finally:
        connection.detach()
