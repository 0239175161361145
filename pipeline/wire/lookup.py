"""Resolves host names in the background and retries until they are known."""

import threading
import time

from pipeline.base.errors import TransportError
from pipeline.wire import address

_AGAIN_S = 2.0


class Lookup:
    """Looks one host name up, each time in a thread of its own: a name server may take its time.

    Args:
        where: The address whose host is looked up.
    """

    def __init__(self, where: address.Address) -> None:
        self._where = where
        self._answer: tuple[str, bool] | TransportError | None = None
        self._thread = self._start()
        self._again_at = 0.0

    def poll(self) -> tuple[str, bool] | TransportError | None:
        """What ``address.to_connect`` has returned or raised since the last call; None for nothing yet."""
        if self._thread.is_alive():
            return None
        answer, self._answer = self._answer, None
        if answer is not None:
            self._again_at = time.monotonic() + _AGAIN_S
        elif time.monotonic() >= self._again_at:
            self._thread = self._start()
        return answer

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name="kvq-lookup", daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        try:
            self._answer = address.to_connect(self._where)
        except TransportError as error:
            self._answer = error
