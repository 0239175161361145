"""Keeps other web pages out: a page from elsewhere must not see the camera through the user's browser.

Two ways in are closed. DNS rebinding: the attacker's name resolves to 127.0.0.1, so the browser takes
the camera page for the attacker's own; the ``Host`` header still holds the attacker's name. And a
WebSocket may be opened by any page; its ``Origin`` header then names that page.
"""

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAFETY_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class LoopbackOnly:
    """Answers only requests that were sent to a loopback name, by no page or by our own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request or WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif not _allowed(Headers(scope=scope)):
            # Before a WebSocket is accepted, the server turns a close into "403 Forbidden".
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": "foreign page"})
            else:
                refusal = "Only pages of this machine are served: open http://localhost with the port.\n"
                await PlainTextResponse(refusal, 403)(scope, receive, send)
        else:
            await self._app(scope, receive, _with_safety_headers(send))


def _allowed(headers: Headers) -> bool:
    hosts, origin = headers.getlist("host"), headers.get("origin")
    if len(hosts) != 1 or not is_loopback(_name(f"//{hosts[0]}")):
        return False
    return origin is None or origin.lower() == f"http://{hosts[0].lower()}"


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _with_safety_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _SAFETY_HEADERS.items():
                headers[name] = value
        await send(message)

    return send_with_headers
