"""Limits HTTP connections, so that no client can exhaust the sink's descriptors."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 128
"""HTTP and WebSocket together; beyond it the oldest HTTP connection makes room for a new one."""

REQUEST_TIMEOUT_S = 5.0
"""A request has to be complete by then; uvicorn itself waits for ever."""


class BoundedHTTP(H11Protocol):
    """Uvicorn's HTTP with a bound on connections and a deadline for each request and for each stalled answer.

    A connection carries one request (see ``guard``), so both count from its start. A WebSocket
    leaves this class with its handshake; ``Live`` bounds those.
    """

    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a new connection, at the cost of the oldest one if there are too many."""
        super().connection_made(transport)
        self.opened_s = self.loop.time()
        self._deadline = self.loop.call_later(REQUEST_TIMEOUT_S, self._close_unfinished)
        if len(self.connections) > MOST_CONNECTIONS:
            others = (one for one in self.connections if isinstance(one, BoundedHTTP))
            oldest = min(others, key=lambda one: one.opened_s)
            self.connections.discard(oldest)  # now: several new ones must not close the same one
            oldest.transport.abort()

    def pause_writing(self) -> None:
        """Gives a client that does not take its answer as long as it has for its request."""
        super().pause_writing()
        self._stalled = self.loop.call_later(REQUEST_TIMEOUT_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Goes on with the answer."""
        super().resume_writing()
        self._cancel_stalled()

    def _cancel_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
        self._stalled = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the deadlines with the connection."""
        self._deadline.cancel()
        self._cancel_stalled()
        super().connection_lost(exc)

    def _close_unfinished(self) -> None:
        """Closes a connection that has sent no whole request, or does not take what is left of its answer."""
        if self in self.connections and (self.cycle is None or self.cycle.response_complete):
            self.transport.abort()
