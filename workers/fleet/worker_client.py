"""Sends requests to a worker on this machine over its control socket."""

import http.client
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """What a worker answered.

    Attributes:
        code: HTTP status; 0 if the request could not be sent.
        body: The raw body.
    """

    code: int
    body: bytes

    @property
    def done(self) -> bool:
        """Whether the request succeeded."""
        return 200 <= self.code < 300

    def read(self) -> Any:
        """The decoded JSON body; None if it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return None

    def trouble(self) -> str:
        """Why the request failed, in one line."""
        told = self.read()
        if isinstance(told, dict) and "error" in told:
            return str(told["error"])
        return f"HTTP status {self.code}" if self.code else self.body.decode(errors="replace") or "no answer"


class Question(msgspec.Struct, frozen=True):
    """A request to a worker.

    Attributes:
        method: The HTTP method.
        path: The path with its query.
        body: Bytes are sent unchanged, a dictionary as JSON.
    """

    method: str
    path: str
    body: bytes | dict[str, Any] | None = None

    @property
    def stream(self) -> str:
        """The stream that the request concerns; empty if none."""
        if isinstance(self.body, dict):
            return str(self.body.get("stream_id", self.body.get("id", "")))
        return unquote(self.path.partition("/streams/")[2].partition("?")[0])


def stream_path(stream_id: str, generation: int | None = None) -> str:
    """The URL path of one stream."""
    query = "" if generation is None else f"?{urlencode({'generation': generation})}"
    return f"/streams/{quote(stream_id, safe='')}{query}"


def ask(file: Path, question: Question, timeout_s: float = 30.0) -> Answer:
    """Sends one request.

    Args:
        file: The worker's control socket.
        question: The request.
        timeout_s: Timeout of each socket operation.
    """
    method, path, body = question.method, question.path, question.body
    connection = _UnixConnection(file, timeout_s)
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    packed = msgspec.json.encode(body) if isinstance(body, dict) else body
    try:
        connection.request(method, path, packed, {"content-type": kind} if packed is not None else {})
        answer = connection.getresponse()
        return Answer(answer.status, answer.read())
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, f"{type(error).__name__}: {error}".encode())
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, file: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._file = file

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._file))
