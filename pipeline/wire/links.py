"""Detects and restores broken links.

The connection of a dead process closes immediately. A lost machine or a cut cable is detected by TCP: by its
keep-alive on an idle link, and by its user timeout on a link with unacknowledged data, where no keep-alive
is sent. libzmq's heartbeats are disabled on purpose: a reader with a full queue can't answer them, so
they disconnect peers that are merely slow, and if a connection breaks while its queue is full they abort the
process (libzmq issues 3937 and 4767, present in 4.3.5).

libzmq reconnects by itself when a connection breaks, but gives up permanently on a peer that violates the
protocol: wrong keys, a message over the limit, another program on the port. A restart of the peer can fix
each of these, so ``LinkWatch`` finds the links that must be reconnected.
"""

import errno
import math
import time
from collections import Counter
from collections.abc import Collection
from typing import Literal, TypeAlias

import zmq

from pipeline.base.config import WireConfig
from pipeline.wire import sockets

LinkState: TypeAlias = Literal["up", "waiting", "lost"]
"""State of a connection: working, not working yet, or broken after it has worked."""

_FOREIGN = (
    "the connection failed: check that a KVQ Stream worker listens there, "
    "and that the keys on both sides match"
)
_BROKEN = (
    "sent an invalid message: larger than wire.max_frame_mb, statistics larger than 512 KiB, "
    "or not from KVQ Stream"
)
_GIVEN_UP_AFTER_S = 0.5
_REFUSALS = 2
_MOST_EVENTS = 1000
_MOST_KEEPALIVES = 127  # limit of Linux; with more, libzmq silently drops each connection
_CLOSED = (errno.ECONNRESET, errno.EPIPE)


def watch_link(sock: "zmq.Socket[bytes]", wire: WireConfig, patience: int = 1) -> None:
    """Configures TCP keep-alive and user timeout of a socket, so that dead links are closed.

    Args:
        sock: A socket that is not bound or connected yet.
        wire: The ``[wire]`` section. Keep-alive uses whole seconds.
        patience: Multiple of ``heartbeat_timeout_ms`` for which data may stay unacknowledged.
    """
    timeout_s = wire.heartbeat_timeout_ms / 1000
    idle_s = math.ceil(wire.heartbeat_ms / 1000)
    every_s = max(idle_s, math.ceil(timeout_s / _MOST_KEEPALIVES))
    # One interval less, because the system checks the timeout only once per interval.
    sock.tcp_maxrt = max(wire.heartbeat_ms, patience * wire.heartbeat_timeout_ms - wire.heartbeat_ms)
    sock.tcp_keepalive = 1
    sock.tcp_keepalive_idle = idle_s
    sock.tcp_keepalive_intvl = every_s
    sock.tcp_keepalive_cnt = max(1, round(timeout_s / every_s))


class LinkWatch:
    """Monitors the connections of one socket; create it before connecting.

    A handshake that times out counts as a refusal. A connection that closes during the handshake counts as a
    refusal only if it happens again: the first time, the peer may just have died.

    Attributes:
        states: State of the connection, by endpoint.
    """

    def __init__(self, sock: "zmq.Socket[bytes]") -> None:
        self._monitor = sockets.monitor(
            sock,
            zmq.EVENT_DISCONNECTED
            | zmq.EVENT_CONNECT_RETRIED
            | zmq.EVENT_HANDSHAKE_SUCCEEDED
            | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
            | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
            | zmq.EVENT_HANDSHAKE_FAILED_AUTH,
        )
        self._broken_at: dict[str, float] = {}
        self._causes: dict[str, str] = {}
        self._refusals: Counter[str] = Counter()
        self.states: dict[str, LinkState] = {}

    def poll(self) -> set[str]:
        """Processes events; returns endpoints that refuse the connection."""
        refused: set[str] = set()
        for kind, value, endpoint in sockets.events(self._monitor, _MOST_EVENTS):
            if kind == zmq.EVENT_DISCONNECTED:
                self._broken_at[endpoint] = time.monotonic()
                if endpoint in self.states:
                    self.states[endpoint] = "lost"
            elif kind == zmq.EVENT_CONNECT_RETRIED:
                self._broken_at.pop(endpoint, None)
                self._causes.pop(endpoint, None)
            elif kind == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._refusals.pop(endpoint, None)
                self.states[endpoint] = "up"
            elif kind == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                self._refusals[endpoint] += 1
                if self._refusals[endpoint] >= _REFUSALS or value not in _CLOSED:
                    refused.add(endpoint)
            else:
                self._causes[endpoint] = _FOREIGN
        return refused

    def keep(self, endpoints: Collection[str]) -> None:
        """Forgets the connections to all other endpoints; late events about them are ignored."""
        for known in (self.states, self._broken_at, self._causes, self._refusals):
            for endpoint in known.keys() - endpoints:
                del known[endpoint]

    def given_up(self) -> dict[str, str]:
        """Endpoints that must be disconnected and connected again, with the cause; each is reported once."""
        limit = time.monotonic() - _GIVEN_UP_AFTER_S
        endpoints = [endpoint for endpoint, at in self._broken_at.items() if at < limit]
        for endpoint in endpoints:
            del self._broken_at[endpoint]
        return {endpoint: self._causes.pop(endpoint, _BROKEN) for endpoint in endpoints}
