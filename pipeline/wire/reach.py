"""Tries to reach the port of another worker, because libzmq does not report why a connection fails."""

import socket
import threading

from pipeline.base.redact import reason
from pipeline.wire.address import Address

_TIMEOUT_S = 2.0


class Reach:
    """One attempt to connect to a tcp address, in a thread; the connection is closed immediately.

    Args:
        where: The address.
    """

    def __init__(self, where: Address) -> None:
        self._where = where
        self._answer: str | None = None
        threading.Thread(target=self._run, name="kvq-reach", daemon=True).start()

    def poll(self) -> str | None:
        """Why the port can't be reached, in a few words; empty if it can; None during the attempt."""
        return self._answer

    @property
    def is_unknown_host(self) -> bool:
        """Whether the host name can't be resolved."""
        return self._answer == self._unknown

    @property
    def _unknown(self) -> str:
        return f"host {self._where.place!r} is not known"

    def _run(self) -> None:
        try:
            socket.create_connection((self._where.place, self._where.port), _TIMEOUT_S).close()
        except (socket.gaierror, UnicodeError):
            self._answer = self._unknown
        except TimeoutError:
            self._answer = f"no answer within {_TIMEOUT_S:g} s"
        except OSError as error:
            self._answer = reason(error)
        else:
            self._answer = ""
