"""Fast socket operations that avoid pyzmq's exceptions and flag lookups."""

from collections.abc import Iterator, Sequence

import zmq
from zmq.utils.monitor import recv_monitor_message

POLLIN = int(zmq.POLLIN)
_EVENTS, _NOBLOCK, _MORE = int(zmq.EVENTS), int(zmq.NOBLOCK), int(zmq.SNDMORE)


def monitor(sock: "zmq.Socket[bytes]", events: int) -> "zmq.Socket[bytes]":
    """Where events of a socket's connections arrive; close it after ``sock.disable_monitor()``.

    Its queue has no bound: libzmq waits for room in one that has, and then no socket of the context works.
    """
    endpoint = f"inproc://monitor.{sock.FD}"
    sock.monitor(endpoint, events)
    reader: zmq.Socket[bytes] = sock.context.socket(zmq.PAIR)
    reader.rcvhwm = 0
    reader.connect(endpoint)
    return reader


def events(reader: "zmq.Socket[bytes]", most: int) -> Iterator[tuple[int, int, str]]:
    """Takes at most so many events that a monitor has: each is its kind, its value and its endpoint."""
    for _ in range(most):
        if not waits(reader):
            return
        event = recv_monitor_message(reader, zmq.NOBLOCK)
        yield int(event["event"]), int(event["value"]), event["endpoint"].decode(errors="replace")


def waits(sock: "zmq.Socket[bytes]") -> bool:
    """Whether a message waits to be taken."""
    return bool(int(sock.getsockopt(_EVENTS)) & POLLIN)


def receive(sock: "zmq.Socket[bytes]") -> list[zmq.Frame]:
    """All parts of a message that waits, uncopied."""
    frames = [sock.recv(_NOBLOCK, copy=False)]
    while frames[-1].more:
        frames.append(sock.recv(_NOBLOCK, copy=False))
    return frames


def peer(part: zmq.Frame) -> str:
    """The address that a part of a message came from; empty for a process at an ipc path."""
    try:
        return str(part.get("Peer-Address")).removeprefix("::ffff:")
    except zmq.ZMQError:
        return ""


def user(part: zmq.Frame) -> str:
    """Whose message a part is of, as the gate named it (``security.Gate``); empty without CURVE."""
    try:
        return str(part.get("User-Id"))
    except zmq.ZMQError:
        return ""


def descriptor(part: zmq.Frame) -> int:
    """Number of the connection that a part of a message came through."""
    return int(part.get(zmq.SRCFD))


def send(sock: "zmq.Socket[bytes]", parts: Sequence[bytes | memoryview], timeout_ms: int) -> bool:
    """Sends a message, large parts uncopied; False if there was no room in time, so that nothing has gone.

    Args:
        sock: Has the time-out 0.
        parts: The message.
        timeout_ms: How long to wait for room.
    """
    try:
        _send(sock, parts)
    except zmq.Again:
        if not timeout_ms:
            return False
        sock.sndtimeo = timeout_ms  # only now: to change it costs as much as to send
        try:
            _send(sock, parts)
        except zmq.Again:
            return False
        finally:
            sock.sndtimeo = 0
    return True


def _send(sock: "zmq.Socket[bytes]", parts: Sequence[bytes | memoryview]) -> None:
    """Raises ``zmq.Again`` with the first part or not at all."""
    for part in parts[:-1]:
        sock.send(part, _MORE, copy=False)
    sock.send(parts[-1], copy=False)
