"""``PUT /api/zones``: replaces zones, lines and rules while the sink runs; needs the token."""

import hmac
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

from pipeline.base.errors import UserError
from pipeline.base.redact import reason
from pipeline.base.schema import readable
from pipeline.base.watched import Watch

ReplaceWatch: TypeAlias = Callable[[Watch], list[str]]
"""Replaces zones, lines and rules, in any thread; returns messages, the first on how long the change lasts.

Raises ``UserError`` with the reason if nothing was changed.
"""

Change = TypeVar("Change")

_LEAST_TOKEN = 16
MOST_BYTES = 1 << 18


class PutZones:
    """Checks requests and passes them on.

    Args:
        token: Required in requests; None disables changes.
        replace_watch: Makes the change; None if that is not possible.
    """

    def __init__(self, token: str | None, replace_watch: ReplaceWatch | None) -> None:
        self._token, self._replace_watch = token, replace_watch

    async def put(self, request: Request) -> dict[str, Any]:
        """Handles a request.

        Raises:
            HTTPException: 401 or 403 without the right token, 413 or 400 for an invalid body, 409 if it is
                not possible now.
        """
        replace_watch = check_token(request, self._token, self._replace_watch)
        watch = read_watch(await _body(request))
        try:
            lasts, *notes = await run_in_threadpool(replace_watch, watch)
        except UserError as error:
            raise HTTPException(409, str(error)) from None
        return {"lasts": lasts, "notes": notes}


def check_token(request: Request, wanted: str | None, change: Change | None) -> Change:
    """Returns the change if the request may make it.

    Raises:
        HTTPException: 403 if changes are disabled, 401 without the right token.
    """
    if wanted is None or change is None:
        raise HTTPException(
            403, "changes are disabled: set sink.web_token_file to a file that contains a token"
        )
    if not has_token(request, wanted):
        advice = "send the token of sink.web_token_file: Authorization: Bearer TOKEN"
        raise HTTPException(401, advice, {"www-authenticate": "Bearer"})
    return change


def has_token(request: Request, wanted: str) -> bool:
    """Whether a request carries a token: ``Authorization: Bearer TOKEN``."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), wanted.encode())


def read_watch(body: bytes) -> Watch:
    """Parses zones, lines, rules, views and ground from a request.

    Raises:
        HTTPException: 400 with the error and its location.
    """
    try:
        values = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise HTTPException(400, "the request is not JSON") from None
    if not isinstance(values, dict):
        raise HTTPException(400, "the request must be an object with zones, lines, rules, views and ground")
    try:
        return msgspec.convert(values, Watch)
    except msgspec.ValidationError as error:
        raise HTTPException(400, readable(error, Watch, values)) from None


def read_token(file: str, key: str = "sink.web_token_file") -> str:
    """The token in a file configured by ``key``.

    Raises:
        UserError: It cannot be read, others may read it, or the token is too short.
    """
    try:
        with Path(file).expanduser().open(encoding="utf-8") as opened:
            mode, token = os.fstat(opened.fileno()).st_mode, opened.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{key}: {file} can't be read: {reason(error)}") from None
    if mode & 0o077:
        raise UserError(f"{key}: {file} can be read by others: run chmod 600 {file}")
    if len(token) < _LEAST_TOKEN:
        raise UserError(
            f"{key}: the token in {file} has {len(token)} characters, at least {_LEAST_TOKEN} are required: "
            f"run openssl rand -hex 16 > {file}"
        )
    return token


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"the request is larger than {MOST_BYTES} bytes")
    return body
