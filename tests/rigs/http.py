"""An HTTP client for a worker's control server: over TCP or its Unix socket, one request per connection."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """A response.

    Attributes:
        code: HTTP status.
        body: The decoded JSON; bytes if it is not JSON.
    """

    code: int
    body: Any


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


def ask(
    address: str | Path, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> Reply:
    """Sends one request and returns the response.

    Args:
        address: ``host:port``, or ``unix:/path``.
        method: HTTP method.
        path: Path with query.
        body: Bytes are sent unchanged, anything else as JSON; None sends no body.
        headers: Additional headers.
    """
    text = str(address)
    connection = (
        _Unix(text.removeprefix("unix:"))
        if text.startswith("unix:")
        else http.client.HTTPConnection(text, timeout=60)
    )
    try:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, data, headers or {})
        response = connection.getresponse()
        got = response.read()
        is_json = (response.getheader("content-type") or "").startswith("application/json")
        return Reply(response.status, json.loads(got) if is_json else got)
    finally:
        connection.close()
