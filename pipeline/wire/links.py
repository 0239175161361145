"""Detects and restores broken links.

The connection of a dead process closes at once. A machine that is gone, or a cut cable, is noticed by
TCP: by its keep-alive while nothing is under way, and by its user time-out while something is not
acknowledged, which keeps the keep-alive from being sent. libzmq's heartbeats are left off on purpose: a
reader with a full queue can't answer them, so they cut off peers that are merely slow, and when a connection
breaks while its queue is full they abort the process (libzmq issues 3937 and 4767, present in 4.3.5).

libzmq comes back by itself when a connection breaks, but gives up for good on a peer that breaks the
protocol: one with other keys, a message over the limit, another program on the port. Since a restart
of the peer can cure each of these, ``LinkWatch`` finds which links need to be made again.
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
"""Of a connection: it works, has not worked yet, or has worked and broke."""

_REFUSED = (
    "refuses the connection: is this machine's public key allowed there (`keys allow FILE`), "
    "and does security.servers name the key that it has?"
)
_FOREIGN = "can't be talked to: is it a KVQ Stream worker, and are its keys and ours as both expect?"
_BROKEN = (
    "sent something that is refused: a message over wire.max_frame_mb, statistics over 512 KiB, "
    "or no KVQ Stream message"
)
_GIVEN_UP_AFTER_S = 0.5
_REFUSALS = 2
_MOST_EVENTS = 1000
_MOST_KEEPALIVES = 127  # of Linux; with more, libzmq gives up each connection without a word
_CLOSED = (errno.ECONNRESET, errno.EPIPE)


def watch_link(sock: "zmq.Socket[bytes]", wire: WireConfig, patience: int = 1) -> None:
    """Has the system test the TCP links of a socket, and close those that are dead.

    Args:
        sock: Not bound or connected yet.
        wire: ``[wire]``. The keep-alive counts in whole seconds.
        patience: How many times ``heartbeat_timeout_ms`` data may stay unacknowledged.
    """
    timeout_s = wire.heartbeat_timeout_ms / 1000
    idle_s = math.ceil(wire.heartbeat_ms / 1000)
    every_s = max(idle_s, math.ceil(timeout_s / _MOST_KEEPALIVES))
    # Less by one turn: the system looks at the time-out once a turn, and must not need one more.
    sock.tcp_maxrt = max(wire.heartbeat_ms, patience * wire.heartbeat_timeout_ms - wire.heartbeat_ms)
    sock.tcp_keepalive = 1
    sock.tcp_keepalive_idle = idle_s
    sock.tcp_keepalive_intvl = every_s
    sock.tcp_keepalive_cnt = max(1, round(timeout_s / every_s))


class LinkWatch:
    """Follows the connections of one socket; made before they are.

    A peer that leaves us waiting for its greeting refuses the connection. One that closes it before it has
    greeted does so if that happens again; once, it may just have died.

    Attributes:
        states: By endpoint: what is known of its connection.
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

    def poll(self) -> dict[str, str]:
        """Takes in what happened; returns endpoints that refuse us, with a human-readable reason."""
        troubles: dict[str, str] = {}
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
                    troubles[endpoint] = _REFUSED
            else:
                self._causes[endpoint] = _FOREIGN
        return troubles

    def keep(self, endpoints: Collection[str]) -> None:
        """Forgets all connections but these; events of others may still come, and mean nothing."""
        for known in (self.states, self._broken_at, self._causes, self._refusals):
            for endpoint in known.keys() - endpoints:
                del known[endpoint]

    def given_up(self) -> dict[str, str]:
        """Endpoints that must be disconnected and connected again, each reported once."""
        limit = time.monotonic() - _GIVEN_UP_AFTER_S
        endpoints = [endpoint for endpoint, at in self._broken_at.items() if at < limit]
        for endpoint in endpoints:
            del self._broken_at[endpoint]
        return {endpoint: self._causes.pop(endpoint, _BROKEN) for endpoint in endpoints}
