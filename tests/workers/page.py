"""The page of a pipeline under test, which may be changed with a token."""

import http.client
import json
from pathlib import Path
from typing import Any

TOKEN = "correct horse battery"


def page(place: Path, port: int, options: dict[str, object]) -> list[str]:
    """Arguments for a page that takes changes, and for other settings."""
    token = place / "token"
    token.touch(mode=0o600)
    token.write_text(TOKEN + "\n")
    web = {"sink.web": "true", "sink.web_port": port, "sink.web_token_file": token}
    return [part for key, value in (web | options).items() for part in ("--set", f"{key}={value}")]


def request(port: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Status and answer of the page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, sent, {"Authorization": f"Bearer {TOKEN}"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()
