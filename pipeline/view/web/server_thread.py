"""Serves an ASGI application in a thread, with limits on connections and message size."""

import socket
import time
from threading import Thread
from typing import Literal

import uvicorn
from starlette.applications import Starlette

from pipeline.view.web.connections import BoundedHTTP

_START_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 5.0
_MOST_MESSAGE_BYTES = 65536
_ACCEPTED_AT_ONCE = 16
_WAITING_CONNECTIONS = 256


class ServerThread:
    """Serves an application in its own thread.

    Args:
        app: The application; it must close each connection after its response, see ``guard``.
        listener: Bound socket; closed with the server.
        name: Name of the thread.
        lifespan: Whether the application handles ASGI lifespan events.
    """

    def __init__(
        self, app: Starlette, listener: socket.socket, name: str, lifespan: Literal["on", "off"] = "off"
    ) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="critical",
            access_log=False,
            lifespan=lifespan,
            backlog=_ACCEPTED_AT_ONCE,
            http=BoundedHTTP,
            ws="websockets-sansio",
            ws_max_size=_MOST_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=1,
        )
        self._server, self._listener = uvicorn.Server(config), listener
        self._thread = Thread(target=self._serve, name=name, daemon=True)

    def start(self) -> bool:
        """Starts serving; False if that takes too long."""
        self._thread.start()
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline_s:
                self.close()
                return False
            time.sleep(0.005)
        # asyncio uses one number both for the kernel's queue and for how many connections it accepts at once.
        # An overflow of the queue delays a client by a second, so the queue is enlarged here; accepting as
        # many at once would take too many descriptors before they can be rejected.
        self._listener.listen(_WAITING_CONNECTIONS)
        return True

    def close(self) -> None:
        """Stops serving."""
        self._server.should_exit = True
        self._thread.join(_STOP_TIMEOUT_S)

    def _serve(self) -> None:
        with self._listener:
            self._server.run(sockets=[self._listener])
