"""Limits HTTP connections, so that no client can exhaust the sink's descriptors."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 128
"""Limit for HTTP and WebSocket together; beyond it, a new connection closes the oldest HTTP connection."""

REQUEST_TIMEOUT_S = 5.0
"""Deadline for a complete request; uvicorn itself has none."""


class BoundedHTTP(H11Protocol):
    """Uvicorn's HTTP with a limit on connections and a deadline for each request and each stalled response.

    A connection carries one request (see ``guard``), so the request's deadline is measured from the start of
    the connection. A WebSocket leaves this class after its handshake; ``Live`` limits WebSockets.
    """

    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accepts a connection, and closes the oldest one if there are too many."""
        super().connection_made(transport)
        self.opened_s = self.loop.time()
        self._deadline = self.loop.call_later(REQUEST_TIMEOUT_S, self._close_unfinished)
        if len(self.connections) > MOST_CONNECTIONS:
            others = (one for one in self.connections if isinstance(one, BoundedHTTP))
            oldest = min(others, key=lambda one: one.opened_s)
            self.connections.discard(oldest)  # at once, so that several new ones do not close the same one
            oldest.transport.abort()

    def pause_writing(self) -> None:
        """Closes the connection if the client does not read its response within the request timeout."""
        super().pause_writing()
        self._stalled = self.loop.call_later(REQUEST_TIMEOUT_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Cancels the deadline once the client reads again."""
        super().resume_writing()
        self._cancel_stalled()

    def _cancel_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
        self._stalled = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancels the deadlines."""
        self._deadline.cancel()
        self._cancel_stalled()
        super().connection_lost(exc)

    def _close_unfinished(self) -> None:
        """Closes the connection if its request is incomplete, or the rest of its response is stalled."""
        if self in self.connections and (self.cycle is None or self.cycle.response_complete):
            self.transport.abort()
