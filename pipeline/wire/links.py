"""How a broken link is noticed.

The connection of a dead process closes at once. A machine that is gone, or a cut cable, is noticed by
TCP's own keep-alive. libzmq's heartbeats are left off on purpose: a reader with a full queue can't
answer them, so they cut off whoever is merely slow, and when a connection breaks while its queue is
full they abort the process (libzmq issues 3937 and 4767, present in 4.3.5).
"""

import math

import zmq

from pipeline.config import WireConfig


def watch_link(sock: "zmq.Socket[bytes]", wire: WireConfig) -> None:
    """Has the system test silent TCP links of a socket; it counts in whole seconds."""
    every_s = math.ceil(wire.heartbeat_ms / 1000)
    sock.tcp_keepalive = 1
    sock.tcp_keepalive_idle = every_s
    sock.tcp_keepalive_intvl = every_s
    sock.tcp_keepalive_cnt = max(1, round(wire.heartbeat_timeout_ms / 1000 / every_s))
