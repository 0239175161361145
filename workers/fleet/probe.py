"""Whether a worker that is not heard is dead: then its streams need not wait until its lease ends."""

import socket
from collections.abc import Sequence

from pipeline.wire import address

_TIMEOUT_S = 0.2


def refuses(endpoints: Sequence[str]) -> bool:
    """Whether nobody listens any more at one of a worker's ports; False also where no answer comes.

    For a process that hangs the system accepts, and a machine that is cut off does not answer: both may go on
    later. Should a firewall have refused, the worker still lives: then it is as after the end of a lease, and
    its answers are refused by their generation.

    Args:
        endpoints: ``tcp://host:port`` each, at which it listens as long as it lives; one of them is tried.
    """
    for where in map(address.parse, endpoints[:1]):
        try:
            socket.create_connection((where.place, where.port), _TIMEOUT_S).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False
