"""Streams images to browsers: the newest first, at a bounded rate, without queueing.

A browser names the streams it watches and acknowledges each image. The next image of a stream is sent only
after the acknowledgement, so that a slow browser or link skips images instead of falling behind.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from pipeline.base.redact import reason
from pipeline.view.web.board import Board, Picture, pack

_MOST_SESSIONS = 32
_BEAT_S = 0.5
"""Interval at which each page receives the state of all streams; if none arrives, the server is dead."""
_TRY_LATER = 1013
_UNSUPPORTED = 1003


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """A message from a browser: the streams to send, or a stream whose image it has drawn."""

    watch: list[str] | None = None
    drawn: str | None = None


class Session:
    """One browser."""

    def __init__(self) -> None:
        self.watched: frozenset[str] = frozenset()
        self._under_way: set[str] = set()
        self._waiting: dict[str, bytes | str] = {}
        self._news = asyncio.Event()

    def watch(self, stream_ids: Iterable[str]) -> None:
        """Replaces the streams to send."""
        self.watched = frozenset(stream_ids)

    def drawn(self, stream_id: str) -> None:
        """Marks the browser as ready for the next image of a stream."""
        self._under_way.discard(stream_id)

    def wants(self, stream_id: str) -> bool:
        """Whether an image of this stream can be sent now."""
        return stream_id in self.watched and stream_id not in self._under_way

    def offer(self, stream_id: str, message: bytes) -> None:
        """Queues an image, if it is wanted."""
        if self.wants(stream_id):
            self._under_way.add(stream_id)
            self._waiting[stream_id] = message
            self._news.set()

    def announce(self, message: str) -> None:
        """Queues a text message; a newer one replaces it."""
        self._waiting[""] = message
        self._news.set()

    async def send_to(self, socket: WebSocket) -> None:
        """Sends queued messages until cancelled or the browser disconnects."""
        while True:
            await self._news.wait()
            self._news.clear()
            waiting, self._waiting = self._waiting, {}
            for message in waiting.values():
                if isinstance(message, str):
                    await socket.send_text(message)
                else:
                    await socket.send_bytes(message)


class Live:
    """Encodes each watched image once, and offers it to the sessions.

    An image that cannot be encoded is skipped; the first one of each stream is reported.

    Args:
        board: Source of the images.
        state: Returns the state sent to pages beside the images; plain JSON data.
        max_fps: Maximum rate of each stream, in images per second.
        report: Receives human-readable events, in the server's thread.
    """

    def __init__(
        self,
        board: Board,
        state: Callable[[], Mapping[str, Any]],
        max_fps: float,
        report: Callable[[str], None],
    ) -> None:
        self._board, self._state, self._report = board, state, report
        self._interval_s = 1 / max_fps
        self._changed = asyncio.Event()
        self._sessions: set[Session] = set()
        self._last: dict[str, tuple[int, bytes | None]] = {}
        self._reported: set[str] = set()
        self._due_s: dict[str, float] = {}
        self._announced: tuple[list[str], list[str]] = ([], [])
        self._task: asyncio.Task[None] | None = None
        self._beat: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts following the board; called in the server's event loop."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._changed.set)

        self._board.on_change = wake
        self._task = asyncio.create_task(self._run())
        self._beat = asyncio.create_task(self._announce_often())
        self._changed.set()

    async def stop(self) -> None:
        """Stops following the board."""
        self._board.stop()
        for task in filter(None, (self._task, self._beat)):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def running(self) -> bool:
        """Whether images are sent; False after ``stop`` or an error."""
        return all(task is not None and not task.done() for task in (self._task, self._beat))

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._announce_streams()
            for stream_id in {name for session in self._sessions for name in session.watched}:
                if any(session.wants(stream_id) for session in self._sessions):
                    await self._send(stream_id)

    async def serve(self, socket: WebSocket) -> None:
        """Serves one browser until it disconnects."""
        if len(self._sessions) >= _MOST_SESSIONS:
            await socket.close(_TRY_LATER, "too many pages are open")
            return
        await socket.accept()
        session = Session()
        self._sessions.add(session)
        session.announce(self._message())
        sender = asyncio.create_task(session.send_to(socket))
        try:
            await self._listen(socket, session)
        except WebSocketDisconnect:
            pass
        finally:
            self._sessions.discard(session)
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    async def _listen(self, socket: WebSocket, session: Session) -> None:
        while True:
            try:
                request = msgspec.json.decode(await socket.receive_text(), type=Request)
            except (msgspec.MsgspecError, KeyError):
                await socket.close(_UNSUPPORTED, "not a request from this page")
                return
            if request.drawn is not None:
                session.drawn(request.drawn)
            if request.watch is not None:
                session.watch(request.watch)
                for stream_id in session.watched:
                    self._offer_encoded(session, stream_id)
            self._changed.set()

    async def _send(self, stream_id: str) -> None:
        """Offers the newest image of a stream, unless it is too early or nothing is new."""
        picture = self._board.newest(stream_id)
        version, _ = self._last.get(stream_id, (0, None))
        if picture is None or picture.version == version:
            return
        loop = asyncio.get_running_loop()
        early_s = self._due_s.get(stream_id, 0.0) - loop.time()
        if early_s > 0:
            loop.call_later(early_s, self._changed.set)
            return
        self._due_s[stream_id] = max(self._due_s.get(stream_id, 0.0) + self._interval_s, loop.time())
        message = await self._pack(stream_id, picture)
        self._last[stream_id] = (picture.version, message)
        if message is not None:
            for session in self._sessions:
                session.offer(stream_id, message)

    async def _pack(self, stream_id: str, picture: Picture) -> bytes | None:
        try:
            return await asyncio.to_thread(pack, stream_id, picture)
        except Exception as error:  # encoders may raise anything: other streams continue
            if stream_id not in self._reported:
                self._reported.add(stream_id)
                self._report(f"web page: frames of {stream_id} are skipped: {reason(error)}")
            return None

    def _offer_encoded(self, session: Session, stream_id: str) -> None:
        """Offers the newest image of a stream if it is already encoded; otherwise ``_run`` encodes it."""
        picture = self._board.newest(stream_id)
        version, message = self._last.get(stream_id, (0, None))
        if picture is not None and picture.version == version and message is not None:
            session.offer(stream_id, message)

    async def _announce_often(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_S)
            self._announce()

    def _announce_streams(self) -> None:
        """Announces immediately which streams were added or have ended."""
        streams = self._board.stream_ids, self._board.ended
        if streams != self._announced:
            self._announced = streams
            there = set(streams[0])
            self._last = {name: last for name, last in self._last.items() if name in there}
            self._announce()

    def _announce(self) -> None:
        if self._sessions:
            message = self._message()
            for session in self._sessions:
                session.announce(message)

    def _message(self) -> str:
        return msgspec.json.encode(self._state()).decode()
