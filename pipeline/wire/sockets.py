"""Fast socket operations that avoid pyzmq's exceptions and flag lookups."""

from collections.abc import Iterator, Sequence

import zmq
from zmq.utils.monitor import recv_monitor_message

POLLIN = int(zmq.POLLIN)
_EVENTS, _NOBLOCK, _MORE = int(zmq.EVENTS), int(zmq.NOBLOCK), int(zmq.SNDMORE)


def monitor(sock: "zmq.Socket[bytes]", events: int) -> "zmq.Socket[bytes]":
    """A socket that receives connection events of another one; close it after ``sock.disable_monitor()``.

    Its queue is unbounded: with a limit, libzmq would block all sockets of the context while it is full.
    """
    endpoint = f"inproc://monitor.{sock.FD}"
    sock.monitor(endpoint, events)
    reader: zmq.Socket[bytes] = sock.context.socket(zmq.PAIR)
    reader.rcvhwm = 0
    reader.connect(endpoint)
    return reader


def events(reader: "zmq.Socket[bytes]", most: int) -> Iterator[tuple[int, int, str]]:
    """Yields up to ``most`` pending events of a monitor: kind, value and endpoint."""
    for _ in range(most):
        if not waits(reader):
            return
        event = recv_monitor_message(reader, zmq.NOBLOCK)
        yield int(event["event"]), int(event["value"]), event["endpoint"].decode(errors="replace")


def waits(sock: "zmq.Socket[bytes]") -> bool:
    """Whether a message is waiting."""
    return bool(int(sock.getsockopt(_EVENTS)) & POLLIN)


def receive(sock: "zmq.Socket[bytes]") -> list[zmq.Frame]:
    """Receives a waiting message: all parts, without a copy."""
    frames = [sock.recv(_NOBLOCK, copy=False)]
    while frames[-1].more:
        frames.append(sock.recv(_NOBLOCK, copy=False))
    return frames


def peer(part: zmq.Frame) -> str:
    """Address of the sender of a message part; empty for ipc."""
    try:
        return str(part.get("Peer-Address")).removeprefix("::ffff:")
    except zmq.ZMQError:
        return ""


def user(part: zmq.Frame) -> str:
    """User id of the sender of a message part, from ``security.Gate``; empty without CURVE."""
    try:
        return str(part.get("User-Id"))
    except zmq.ZMQError:
        return ""


def descriptor(part: zmq.Frame) -> int:
    """File descriptor of the connection that a message part arrived through."""
    return int(part.get(zmq.SRCFD))


def send(sock: "zmq.Socket[bytes]", parts: Sequence[bytes | memoryview], timeout_ms: int) -> bool:
    """Sends a message without copying large parts; False if there was no room in time and nothing was sent.

    Args:
        sock: A socket with send timeout 0.
        parts: The message.
        timeout_ms: How long to wait for room.
    """
    try:
        _send(sock, parts)
    except zmq.Again:
        if not timeout_ms:
            return False
        sock.sndtimeo = timeout_ms  # only if needed: setting it costs as much as a send
        try:
            _send(sock, parts)
        except zmq.Again:
            return False
        finally:
            sock.sndtimeo = 0
    return True


def _send(sock: "zmq.Socket[bytes]", parts: Sequence[bytes | memoryview]) -> None:
    """Sends all parts; raises ``zmq.Again`` only on the first one."""
    for part in parts[:-1]:
        sock.send(part, _MORE, copy=False)
    sock.send(parts[-1], copy=False)
