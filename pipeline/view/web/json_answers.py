"""JSON responses of the page's API and of control servers."""

from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response


def json_response(content: Any, status: int = 200) -> Response:
    """A response with any content that msgspec can encode."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def refuse_as_json(_: Request, error: Exception) -> Response:
    """The response to a rejected request: ``{"error": "one line"}``."""
    assert isinstance(error, HTTPException)
    answer = json_response({"error": error.detail}, error.status_code)
    answer.headers.update(error.headers or {})
    return answer
