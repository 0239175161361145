"""The HTTP API: streams, snapshots, events and zones for other programs; see ``docs/reference/http.md``."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, get_args

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route

from pipeline.base.clock import now_ns
from pipeline.base.errors import UserError
from pipeline.base.event import Event, EventKind
from pipeline.base.frame import Image
from pipeline.base.since import since_ns
from pipeline.view.web.attention_answer import attention_of, read_place
from pipeline.view.web.board import Board, encode_jpeg
from pipeline.view.web.event_feed import EventFeed, with_words
from pipeline.view.web.evidence_files import EvidenceFiles
from pipeline.view.web.exposition import CONTENT_TYPE, Metrics
from pipeline.view.web.json_answers import json_response, refuse_as_json
from pipeline.view.web.motion_level import MotionLevel
from pipeline.view.web.post_view import PostView
from pipeline.view.web.put_zones import PutZones
from pipeline.view.web.standing import not_ready, standings
from pipeline.view.web.zones_and_lines import ZonesAndLines

Kept: TypeAlias = Callable[[int | None, str | None, str | None, int], list[Event]]
"""Reads stored events, newest first. Arguments: earliest Unix time in ns, kind, stream, maximum number."""

MOST_EVENTS = 500
"""Largest number of events in one response."""
T = TypeVar("T")


class HttpApi:
    """Answers HTTP requests from the data that the sink has passed on.

    One response is computed at a time, in a thread, and one store query is run at a time, so that the
    load does not grow with the number of clients.

    Args:
        board: Newest images.
        feed: Live events.
        metrics: Metrics.
        watched: Zones, lines and rules.
        motion: Motion in the last hour.
        evidence: Images and clips of events.
        put_zones: Replaces zones, lines and rules.
        post_view: Makes the current image the reference view.
        kept: Reads stored events; may raise ``UserError``. None if events are not stored.
    """

    def __init__(
        self,
        board: Board,
        feed: EventFeed,
        metrics: Metrics,
        watched: ZonesAndLines,
        motion: MotionLevel,
        evidence: EvidenceFiles,
        put_zones: PutZones,
        post_view: PostView,
        kept: Kept | None,
    ) -> None:
        self._board, self._feed, self._metrics, self._kept = board, feed, metrics, kept
        self._watched, self._motion, self._evidence = watched, motion, evidence
        self._put_zones, self._post_view = put_zones, post_view
        self._turn, self._store_turn = asyncio.Lock(), asyncio.Lock()
        self._snapshots: dict[str, tuple[int, bytes]] = {}

    def routes(self) -> list[BaseRoute]:
        """Routes of the web application."""
        api = [
            Route("/streams", self._streams),
            Route("/streams/{stream_id:path}/snapshot.jpg", self._snapshot),
            Route("/streams/{stream_id:path}/motion", self._motion_level),
            Route("/streams/{stream_id:path}/attention", self._attention),
            Route("/streams/{stream_id:path}/view", self._view, methods=["POST"]),
            Route("/events", self._events),
            Route("/events/live", self._live_events),
            *self._evidence.routes(),
            Route("/zones", self._zones, methods=["GET", "PUT"]),
        ]
        return [Mount("/api", routes=api), Route("/readyz", self._ready), Route("/metrics", self._exposition)]

    async def _streams(self, _: Request) -> Response:
        return json_response(await _computed(self._turn, lambda: standings(self._board, now_ns())))

    async def _snapshot(self, request: Request) -> Response:
        stream_id, plain = request.path_params["stream_id"], request.query_params.get("plain") == "true"
        jpeg = await _computed(self._turn, lambda: self._jpeg(stream_id, plain=plain))
        return Response(jpeg, media_type="image/jpeg")

    async def _attention(self, request: Request) -> Response:
        stream_id, asked = request.path_params["stream_id"], request.query_params
        place = read_place(asked.get("x"), asked.get("y"))
        picture = self._board.newest(stream_id)
        if picture is None:
            raise HTTPException(404, f"there is no frame of stream {stream_id!r}; see /api/streams")
        attended = picture.attended
        with_pictures = asked.get("pictures") == "true"
        return json_response(
            await _computed(self._turn, lambda: attention_of(attended, stream_id, place, with_pictures))
        )

    async def _motion_level(self, request: Request) -> Response:
        stream_id = request.path_params["stream_id"]
        if stream_id not in self._board.stream_ids:
            raise HTTPException(404, f"there is no stream {stream_id!r}; see /api/streams")
        minutes = await _computed(self._store_turn, lambda: self._motion.minutes(stream_id, now_ns()))
        return json_response({"moving_share_by_minute": minutes})

    async def _events(self, request: Request) -> Response:
        asked = request.query_params
        return json_response(
            await _computed(
                self._store_turn,
                lambda: self._found(asked.get("since"), asked.get("kind"), asked.get("stream")),
            )
        )

    async def _live_events(self, _: Request) -> Response:
        if self._feed.is_full:
            raise HTTPException(503, "too many clients are connected")
        return StreamingResponse(self._feed.messages(), media_type="text/event-stream")

    async def _zones(self, request: Request) -> Response:
        if request.method == "PUT":
            return json_response(await self._put_zones.put(request))
        watch = self._watched.watch
        return json_response({kind: getattr(watch, kind) for kind in watch.__struct_fields__})

    async def _view(self, request: Request) -> Response:
        return json_response(await self._post_view.post(request))

    async def _ready(self, _: Request) -> Response:
        why = not_ready(self._board, now_ns())
        if why is not None:
            return json_response({"status": "not ready", "reason": why}, 503)
        return json_response({"status": "ready"})

    async def _exposition(self, _: Request) -> Response:
        return Response(
            await _computed(self._turn, self._metrics.text), headers={"content-type": CONTENT_TYPE}
        )

    def _jpeg(self, stream_id: str, *, plain: bool) -> bytes:
        """The newest image of a stream, cached; without overlay, encoded for each request."""
        picture = self._board.newest(stream_id)
        if picture is None:
            raise HTTPException(404, f"there is no frame of stream {stream_id!r}; see /api/streams")
        if plain:
            if picture.plain is None:
                raise HTTPException(
                    404, f"the newest frame of {stream_id!r} is only available with its overlay"
                )
            return _encoded(stream_id, picture.plain)
        version, jpeg = self._snapshots.get(stream_id, (0, b""))
        if version != picture.version:
            jpeg = _encoded(stream_id, picture.image)
            there = set(self._board.stream_ids)
            self._snapshots = {name: last for name, last in self._snapshots.items() if name in there}
            self._snapshots[stream_id] = picture.version, jpeg
        return jpeg

    def _found(self, since: str | None, kind: str | None, stream_id: str | None) -> list[dict[str, Any]]:
        if kind is not None and kind not in get_args(EventKind):
            raise HTTPException(
                400, f"kind {kind}: there is no such kind; choose one of: {', '.join(get_args(EventKind))}"
            )
        try:
            # The "+" of a time zone arrives as a space if the client did not escape it.
            from_ns = None if since is None else since_ns(since.replace(" ", "+") if "T" in since else since)
        except UserError as error:
            raise HTTPException(400, f"since {error}") from None
        if self._kept is None:
            raise HTTPException(404, "events are not stored: store.file is empty")
        try:
            found = self._kept(from_ns, kind, stream_id, MOST_EVENTS)
            is_known = found or stream_id is None or stream_id in self._board.stream_ids
            if not is_known and not self._kept(None, None, stream_id, 1):
                raise HTTPException(404, f"there is no stream {stream_id!r}, and no stored event from it")
        except UserError as error:
            raise HTTPException(503, str(error)) from None
        return [with_words(event) for event in found]


def _encoded(stream_id: str, image: Image) -> bytes:
    try:
        return encode_jpeg(stream_id, image)
    except Exception as error:  # OpenCV may raise anything
        raise HTTPException(500, f"the newest frame of {stream_id!r} can't be encoded") from error


async def _computed(turn: asyncio.Lock, answer: Callable[[], T]) -> T:
    async with turn:
        return await asyncio.to_thread(answer)


async def refuse(request: Request, error: Exception) -> Response:
    """The response to a rejected request; JSON for the API."""
    assert isinstance(error, HTTPException)
    if request.url.path.startswith("/api/"):
        return await refuse_as_json(request, error)
    return PlainTextResponse(error.detail, error.status_code, error.headers)
