"""Resolves host names in the background and retries until they are known."""

import threading
import time

from pipeline.base.errors import TransportError
from pipeline.wire import address

_AGAIN_S = 2.0


class Lookup:
    """Resolves one host name, each time in a new thread, because name servers can be slow.

    Args:
        where: The address whose host is resolved.
    """

    def __init__(self, where: address.Address) -> None:
        self._where = where
        self._answer: tuple[str, bool] | TransportError | None = None
        self._thread = self._start()
        self._again_at = 0.0

    def poll(self) -> tuple[str, bool] | TransportError | None:
        """The result or error of ``address.to_connect`` since the last call; None if there is none yet."""
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
