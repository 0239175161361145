"""Live events as server-sent events, with a bounded queue for each client."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from threading import Lock
from typing import Any

import msgspec

from pipeline.base.event import Event
from pipeline.scene.sentence import event_in_words

MOST_CLIENTS = 32
MOST_WAITING = 64
"""Queue length of a client; one that falls behind is disconnected and must query ``/api/events``."""
_MOST_HANDED_OVER = 1024
_SIGN_OF_LIFE_S = 15.0


def with_words(event: Event) -> dict[str, Any]:
    """An event as sent to clients, with a sentence (``words``)."""
    return {**msgspec.to_builtins(event), "words": event_in_words(event)}


class _Client:
    def __init__(self) -> None:
        self.waiting: asyncio.Queue[bytes | None] = asyncio.Queue(MOST_WAITING + 1)

    def offer(self, message: bytes) -> bool:
        """Queues a message; if the client is too far behind, ends it and returns False."""
        if self.waiting.qsize() < MOST_WAITING:
            self.waiting.put_nowait(message)
            return True
        self.end()
        return False

    def end(self) -> None:
        self.waiting.put_nowait(None)


class EventFeed:
    """Passes events from the sink's thread to the clients of the web server."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._handed_over: deque[Event] = deque(maxlen=_MOST_HANDED_OVER)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clients: set[_Client] = set()

    def put(self, event: Event) -> None:
        """Queues an event, from any thread; does not block."""
        with self._lock:
            if self._loop is None:
                return
            if not self._handed_over:
                self._loop.call_soon_threadsafe(self._hand_out)
            self._handed_over.append(event)

    def start(self) -> None:
        """Starts serving; called in the server's event loop."""
        with self._lock:
            self._loop = asyncio.get_running_loop()

    def stop(self) -> None:
        """Disconnects all clients, from any thread."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._end_all)
            self._loop = None

    @property
    def is_full(self) -> bool:
        """Whether the limit of clients is reached."""
        return len(self._clients) >= MOST_CLIENTS

    async def messages(self) -> AsyncIterator[bytes]:
        """Messages for one client, until it disconnects or is too slow, or the server stops."""
        client = _Client()
        self._clients.add(client)
        try:
            yield b": events from now on\n\n"
            while True:
                try:
                    message = await asyncio.wait_for(client.waiting.get(), _SIGN_OF_LIFE_S)
                except TimeoutError:
                    message = b": still here\n\n"
                if message is None:
                    return
                yield message
        finally:
            self._clients.discard(client)

    def _hand_out(self) -> None:
        with self._lock:
            events = list(self._handed_over)
            self._handed_over.clear()
        for event in events:
            message = b"id: %s\ndata: %s\n\n" % (event.id.encode(), msgspec.json.encode(with_words(event)))
            self._clients = {client for client in self._clients if client.offer(message)}

    def _end_all(self) -> None:
        for client in self._clients:
            client.end()
        self._clients.clear()
