"""Checks whether a silent worker is dead, so that its streams can move before its lease expires."""

import socket
from collections.abc import Sequence

from pipeline.wire import address

_TIMEOUT_S = 0.2


def refuses(endpoints: Sequence[str]) -> bool:
    """Whether a worker's port refuses connections; False also if there is no answer.

    The kernel still accepts connections for a process that hangs, and a machine that is cut off does not
    answer: both may recover. If it was a firewall that refused and the worker is alive, the effect is that of
    an expired lease: its predictions are rejected because of their old generation.

    Args:
        endpoints: ``tcp://host:port`` addresses at which a live worker listens; only the first is tried.
    """
    for where in map(address.parse, endpoints[:1]):
        try:
            socket.create_connection((where.place, where.port), _TIMEOUT_S).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False
