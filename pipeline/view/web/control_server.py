"""The control server of a worker: its HTTP operations and ``/healthz``."""

import asyncio
import contextlib
import socket
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.base.errors import OutputError
from pipeline.base.redact import reason
from pipeline.view.web.connections import REQUEST_TIMEOUT_S
from pipeline.view.web.guard import guards
from pipeline.view.web.json_answers import json_response, refuse_as_json
from pipeline.view.web.page_port import loopback_host
from pipeline.view.web.put_zones import has_token
from pipeline.view.web.server_thread import ServerThread
from pipeline.view.web.verbs import Asked, Done, Verb, VerbError, VerbQueue

_UNIX = "unix:"
_MOST_HELD_BYTES = 1 << 29
"""Limit on the total size of all request bodies in memory."""

Health: TypeAlias = Callable[[], tuple[bool, dict[str, Any]]]
"""Whether the worker is healthy, and details; called in the server's thread."""


class ControlError(OutputError):
    """The operations cannot be served."""


class ControlServer:
    """Serves a worker's operations over HTTP, from construction until ``close``.

    Args:
        listen: ``host:port``, or ``unix:/path`` of a socket that only this user can open.
        token: Required in every request except ``/healthz``; None, allowed only for addresses of this
            machine, requires none.
        verbs: The worker's operations.
        queue: Passes them to the worker's thread.
        health: For ``/healthz``.

    Attributes:
        address: Where it listens.

    Raises:
        ControlError: It cannot listen there, or only with a token.
    """

    def __init__(
        self, listen: str, token: str | None, verbs: Iterable[Verb], queue: VerbQueue, health: Health
    ) -> None:
        self._token, self._queue, self._health = token, queue, health
        self._held_bytes = 0
        self._file = Path(listen.removeprefix(_UNIX)) if listen.startswith(_UNIX) else None
        host = None
        if self._file is None:
            name = listen.rpartition(":")[0].strip("[]")
            host = loopback_host(name)
            if host is None and token is None:
                raise ControlError(
                    f"control.listen {listen!r} can be reached from other machines: set control.token_file "
                    "to a file that contains a token, or use 127.0.0.1 or unix:/path"
                )
        listener = _bind_unix(self._file, listen) if self._file else _bind_tcp(listen)
        self.address = listen
        if self._file is None:  # port 0 is replaced by the actual one
            self.address = f"{listen.rpartition(':')[0]}:{listener.getsockname()[1]}"
        by_path: dict[str, dict[str, Verb]] = {}
        for verb in verbs:
            by_path.setdefault(verb.path, {})[verb.method] = verb
        app = Starlette(
            routes=[
                Route("/healthz", self._tell_health),
                *(Route(path, self._endpoint(known), methods=[*known]) for path, known in by_path.items()),
            ],
            middleware=guards(host),
            exception_handlers={HTTPException: refuse_as_json},
        )
        self._server = ServerThread(app, listener, "control")
        if not self._server.start():
            raise ControlError(f"control.listen {listen!r}: the server did not start")

    def close(self) -> None:
        """Stops serving, and deletes the socket file."""
        self._server.close()
        if self._file:
            self._file.unlink(missing_ok=True)

    async def _tell_health(self, _: Request) -> Response:
        works, told = self._health()
        return json_response(told, 200 if works else 503)

    def _endpoint(self, verbs: dict[str, Verb]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            if self._token is not None and not has_token(request, self._token):
                advice = "send the token of control.token_file: Authorization: Bearer TOKEN"
                raise HTTPException(401, advice, {"www-authenticate": "Bearer"})
            verb = verbs["GET" if request.method == "HEAD" else request.method]
            body = bytearray()
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    await self._read(request, body, verb.most_bytes)
                asked = Asked(request.path_params, dict(request.query_params), bytes(body))
                return _answer(await run_in_threadpool(self._queue.ask, verb.do, asked))
            except TimeoutError:
                raise HTTPException(408, f"no complete request within {REQUEST_TIMEOUT_S:g} s") from None
            except VerbError as error:
                raise HTTPException(error.code, str(error)) from None
            finally:
                self._held_bytes -= len(body)

        return answer

    async def _read(self, request: Request, body: bytearray, most_bytes: int) -> None:
        async for part in request.stream():
            if len(body) + len(part) > most_bytes:
                raise HTTPException(413, f"the request is larger than {most_bytes} bytes")
            if self._held_bytes + len(part) > _MOST_HELD_BYTES:
                raise HTTPException(503, "too many large requests at once")
            body += part
            self._held_bytes += len(part)


def _answer(done: Done) -> Response:
    if done.body is None:
        return Response(status_code=204)
    if isinstance(done.body, bytes):
        return Response(done.body, done.code, media_type="application/octet-stream")
    return json_response(done.body, done.code)


def _bind_tcp(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    # Without this option, the port of a recently closed server (TIME_WAIT) would count as in use.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, int(port)))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        why = reason(error) if isinstance(error, OSError) else "the port must be a number from 0 to 65535"
        raise ControlError(f"control.listen {listen!r}: {why}") from None
    return listener


def _bind_unix(file: Path, listen: str) -> socket.socket:
    """A socket that only this user can open; one left by a killed worker is replaced."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if file.exists() and stat.S_ISSOCK(file.stat().st_mode) and not _is_served(file):
            file.unlink()
        listener.bind(str(file))
        file.chmod(0o600)  # nobody can connect before it listens
        listener.listen()
    except OSError as error:
        listener.close()
        raise ControlError(f"control.listen {listen!r}: {reason(error)}") from None
    return listener


def _is_served(file: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial, contextlib.suppress(OSError):
        trial.settimeout(1.0)
        trial.connect(str(file))
        return True
    return False
