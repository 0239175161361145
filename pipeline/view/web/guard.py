"""Rejects requests from other origins, so that other web pages cannot read the camera.

Two ways in are closed. DNS rebinding: the attacker's name resolves to 127.0.0.1, so the browser takes
the camera page for the attacker's own; the ``Host`` header still holds the attacker's name, and Starlette's
``TrustedHostMiddleware`` refuses it. And a WebSocket may be opened by any page; its ``Origin`` header then
names that page, and ``OwnPagesOnly`` refuses it.
"""

import ipaddress

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
    # One request a connection: what is open has a deadline that counts from its start.
    "connection": "close",
}


def loopback_host(host: str) -> str | None:
    """A host name or address as URLs have it; None if it can mean another machine."""
    if host.lower() == "localhost":
        return "localhost"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if not address.is_loopback:
        return None
    return f"[{ipaddress.IPv6Address(int(address))}]" if address.version == 6 else str(address)


def guards(host: str | None) -> list[Middleware]:
    """What a request has to pass.

    Args:
        host: Where the server is bound, as ``loopback_host`` gives it; None for a server that no name leads
            to from a browser, or that wants a token.
    """
    hosts = [*_LOOPBACK_NAMES, host] if host else ["*"]
    return [
        Middleware(_AnswerHeaders),
        Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
        Middleware(OwnPagesOnly),
    ]


class OwnPagesOnly:
    """Answers only requests that no page has made, or our own."""

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
