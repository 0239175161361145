"""Quick ways to use a socket: pyzmq's own cost an exception for "nothing there", a lookup for each flag."""

from collections.abc import Sequence

import zmq

POLLIN = int(zmq.POLLIN)
_EVENTS, _NOBLOCK, _MORE = int(zmq.EVENTS), int(zmq.NOBLOCK), int(zmq.SNDMORE)


def waits(sock: "zmq.Socket[bytes]") -> bool:
    """Whether a message waits to be taken."""
    return bool(int(sock.getsockopt(_EVENTS)) & POLLIN)


def receive(sock: "zmq.Socket[bytes]") -> list[zmq.Frame]:
    """All parts of a message that waits, uncopied."""
    frames = [sock.recv(_NOBLOCK, copy=False)]
    while frames[-1].more:
        frames.append(sock.recv(_NOBLOCK, copy=False))
    return frames


def send(sock: "zmq.Socket[bytes]", parts: Sequence[bytes | memoryview]) -> None:
    """Sends a message; large parts are not copied.

    Raises:
        zmq.Again: There was no room within the socket's time-out; with the first part, so nothing has gone.
    """
    for part in parts[:-1]:
        sock.send(part, _MORE, copy=False)
    sock.send(parts[-1], copy=False)
