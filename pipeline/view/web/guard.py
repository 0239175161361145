"""Rejects requests from other origins, so that other web pages cannot read the camera.

Two attacks are blocked. DNS rebinding: the attacker's host name resolves to 127.0.0.1, so the browser treats
the camera page as the attacker's own; the ``Host`` header still holds the attacker's name, and Starlette's
``TrustedHostMiddleware`` rejects it. Cross-site WebSockets: any page may open one; its ``Origin`` header then
names that page, and ``OwnPagesOnly`` rejects it.
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"]
_ANSWER_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"
    ),
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    # One request per connection, so that its deadlines can be measured from its start.
    "connection": "close",
}


def guards(host: str | None) -> list[Middleware]:
    """The middleware that checks requests.

    Args:
        host: Host the server is bound to, from ``page_port.loopback_host``; None for a server that browsers
            cannot reach by name, or that requires a token.
    """
    hosts = [*_LOOPBACK_NAMES, host] if host else ["*"]
    return [
        Middleware(_AnswerHeaders),
        Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
        Middleware(OwnPagesOnly),
    ]


class OwnPagesOnly:
    """Answers only requests from our own pages, and those without an origin."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request or WebSocket."""
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if origin is not None and origin.lower() != f"http://{headers['host'].lower()}":
                await PlainTextResponse("The request comes from another web page.\n", 403)(
                    scope, receive, send
                )
                return
        await self._app(scope, receive, send)


class _AnswerHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_ANSWER_HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)
