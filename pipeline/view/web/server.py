"""The web server in a thread of the sink: starts, accepts images without blocking, stops."""

from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Self

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from pipeline.account.stats import WorkerStats
from pipeline.base.clock import now_ns
from pipeline.base.closing import Closing
from pipeline.base.event import Event
from pipeline.base.frame import Image
from pipeline.base.watched import Watch
from pipeline.scene.crossing_counts import CrossingCounts
from pipeline.view.web.board import Attended, Board, Info
from pipeline.view.web.event_feed import EventFeed
from pipeline.view.web.evidence_files import EvidenceFiles, FolderOf
from pipeline.view.web.exposition import Metrics
from pipeline.view.web.guard import guards
from pipeline.view.web.http_api import HttpApi, Kept, refuse
from pipeline.view.web.live import Live
from pipeline.view.web.motion_level import KeptMotion, MotionLevel
from pipeline.view.web.page_port import WebError, bind_page, loopback_host, page_url
from pipeline.view.web.page_state import PageState
from pipeline.view.web.post_view import PostView, TakeView
from pipeline.view.web.put_zones import PutZones, ReplaceWatch
from pipeline.view.web.server_thread import ServerThread
from pipeline.view.web.troubles import SourceState, Trouble
from pipeline.view.web.zones_and_lines import ZonesAndLines


class WebView(Closing):
    """Shows the newest image of each stream in browsers on this machine.

    Attributes:
        url: Address of the page; its port is known after ``start``.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 8642,
        max_fps: float = 15.0,
        *,
        watch: Watch | None = None,
        crossed: CrossingCounts | None = None,
        kept: Kept | None = None,
        kept_motion: KeptMotion | None = None,
        evidence: FolderOf | None = None,
        token: str | None = None,
        replace_watch: ReplaceWatch | None = None,
        take_view: TakeView | None = None,
    ) -> None:
        """Prepares the page.

        Args:
            host: A loopback address or ``localhost``.
            port: 0 takes a free one.
            max_fps: Maximum rate of each stream, in images per second; only watched streams are encoded.
            watch: Zones, lines and rules as configured; None if there are none.
            crossed: Counts of crossings; None if they are not counted.
            kept: Reads stored events, in a thread of the server; None if events are not stored.
            kept_motion: Reads the motion log, in a thread of the server; None if it is not stored.
            evidence: Returns the folder with an event's evidence; None if evidence is not stored.
            token: Required to change zones; None disables changes.
            replace_watch: Replaces zones, lines and rules, in a thread of the server; see ``ReplaceWatch``.
            take_view: Takes the current view of a stream, in a thread of the server; see ``TakeView``.
        """
        self._host, self._port, self._max_fps = host, port, max_fps
        self._board, self._feed = Board(), EventFeed()
        self._watched = ZonesAndLines(watch or Watch(), crossed or CrossingCounts())
        self._motion = MotionLevel(kept_motion)
        self._state = PageState(
            self._board, self._watched, takes_token=token is not None, keeps_events=kept is not None
        )
        self._metrics = Metrics(self._board, self._watched)
        self._api = HttpApi(
            self._board,
            self._feed,
            self._metrics,
            self._watched,
            self._motion,
            EvidenceFiles(evidence),
            PutZones(token, replace_watch),
            PostView(self._board, token, take_view),
            kept,
        )
        self._events: deque[str] = deque()
        self._server: ServerThread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    @property
    def url(self) -> str:
        """Address of the page; with port 0 it is known after ``start``."""
        return page_url(self._host, self._port)

    def start(self) -> None:
        """Starts serving the page.

        Raises:
            WebError: The port is in use, or the host is not a loopback address.
        """
        listener = bind_page(self._host, self._port)
        self._port = listener.getsockname()[1]
        app = self._build_app(loopback_host(self._host) or self._host)
        server = ServerThread(app, listener, "web", lifespan="on")
        if not server.start():
            self.close()
            raise WebError(f"{self.url}: the web server did not start")
        self._server = server

    def publish(
        self,
        stream_id: str,
        image: Image,
        info: Info,
        attended: Attended | None = None,
        plain: Image | None = None,
    ) -> None:
        """Shows an image, which must not be modified afterwards; does not block.

        Args:
            stream_id: Its stream.
            image: The image, BGR.
            info: Data to show beside it, from ``picture_info``.
            attended: Its prediction with attention; None if it has none.
            plain: The image without overlay, BGR.
        """
        self._board.publish(stream_id, image, info, attended, plain)
        self._motion.take(stream_id, info.get("seen"), now_ns())

    def end(self, stream_id: str) -> None:
        """Shows a stream as ended, until its next image."""
        self._board.end(stream_id)

    def tell(self, event: Event) -> None:
        """Sends an event to all clients; does not block."""
        self._watched.take(event)
        self._state.take(event)
        self._feed.put(event)

    def replace_watch(self, watch: Watch) -> None:
        """Replaces zones, lines and rules; does not block."""
        self._watched.replace_watch(watch)

    def take_stats(self, stats: WorkerStats, links: Iterable[tuple[str, str]]) -> None:
        """Updates the sink's statistics and the states of its links, for ``/metrics``; does not block."""
        self._metrics.take_stats(stats, links)

    def take_workers(self, troubles: Sequence[Trouble], sources: Mapping[str, SourceState]) -> None:
        """Updates problems of other workers, the worst first, and states of sources; does not block."""
        self._state.take_workers(troubles, sources)

    def pop_events(self) -> list[str]:
        """Human-readable events since the last call."""
        return [self._events.popleft() for _ in range(len(self._events))]

    def close(self) -> None:
        """Stops serving; browsers show that they are disconnected. May be called twice."""
        self._board.stop()
        self._feed.stop()
        if self._server:
            self._server.close()
        self._server = None

    def _build_app(self, host: str) -> Starlette:
        """The page's files, its WebSocket, ``/healthz``, and the API."""
        board, feed = self._board, self._feed
        live = Live(board, self._state.now, self._max_fps, self._events.append)

        @asynccontextmanager
        async def run_live(_: Starlette) -> AsyncIterator[None]:
            live.start()
            feed.start()
            yield
            feed.stop()
            await live.stop()

        async def health(_: Request) -> JSONResponse:
            status, code = ("ok", 200) if live.running else ("failed", 503)
            return JSONResponse({"status": status, "streams": board.stream_ids}, code)

        async def serve_live(browser: WebSocket) -> None:
            await live.serve(browser)

        routes = [
            Route("/healthz", health),
            *self._api.routes(),
            WebSocketRoute("/live", serve_live),
            Mount("/fonts", StaticFiles(packages=[("pipeline.view", "fonts")])),
            Mount("/", StaticFiles(packages=[(__package__, "static")], html=True)),
        ]
        return Starlette(
            routes=routes,
            middleware=guards(host),
            lifespan=run_live,
            exception_handlers={HTTPException: refuse},
        )
