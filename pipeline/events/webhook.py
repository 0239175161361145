"""Sends events as JSON by HTTP POST, signed as specified by https://www.standardwebhooks.com."""

import base64
import binascii
import hashlib
import hmac
import http.client
import ssl
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import unquote, urlunsplit

from pipeline import __version__
from pipeline.base.clock import now_ns
from pipeline.base.outlet import Outlet
from pipeline.base.redact import reason
from pipeline.events.sender import Message, OutletError, Refused, Sender, Undelivered, shown_url, split_url

PREFIX = "whsec_"
"""Prefix of secrets whose remainder is the key in base64."""
TRIED_AGAIN = (408, 425, 429)
"""Status codes from 400 to 499 that are retried."""
_LONGEST_WAIT_S = 3600.0


class Webhook(Sender):
    """Posts events to one URL.

    Args:
        outlet: Its settings.
        secret: The signing key; empty for none.

    Raises:
        OutletError: The URL or the secret is invalid.
    """

    def __init__(self, outlet: Outlet, secret: str) -> None:
        parts = split_url(outlet.url)
        self.where = shown_url(parts)
        self._url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
        self._headers = {"Content-Type": "application/json", "User-Agent": f"kvq-stream/{__version__}"}
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
        self._key = _key(secret)
        self._timeout_s = outlet.timeout_s
        context = ssl.create_default_context()
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=context), _NoRedirects()
        )

    def send(self, message: Message) -> None:
        """Posts a message; any status from 200 to 299 counts as delivered.

        Raises:
            Undelivered: No answer, or a temporary failure.
            Refused: A permanent failure: most of the status codes from 400 to 499.
        """
        headers = self._headers | signed(self._key, message.id, now_ns() // 10**9, message.body)
        try:
            request = urllib.request.Request(self._url, message.body, headers, method="POST")
            with self._opener.open(request, timeout=self._timeout_s):
                pass
        except urllib.error.HTTPError as error:
            with error:
                raise judged(error.code, error.headers.get("Retry-After")) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Undelivered(_why(error, self._timeout_s)) from None


def signed(key: bytes, message_id: str, seconds: int, body: bytes) -> dict[str, str]:
    """Headers: the id, the time of sending in Unix seconds, and the signature over both and the body."""
    headers = {"webhook-id": message_id, "webhook-timestamp": str(seconds)}
    if key:
        digest = hmac.digest(key, f"{message_id}.{seconds}.".encode() + body, hashlib.sha256)
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def judged(status: int, retry_after: str | None = None) -> Undelivered | Refused:
    """The error for a status outside 200 to 299."""
    if 300 <= status < 400:
        return Undelivered(f"HTTP status {status}, a redirect, which is not followed: set the final URL")
    if 400 <= status < 500 and status not in TRIED_AGAIN:
        return Refused(f"HTTP status {status}")
    digits = retry_after if retry_after and retry_after.isdecimal() else None
    return Undelivered(f"HTTP status {status}", min(float(digits), _LONGEST_WAIT_S) if digits else None)


def _key(secret: str) -> bytes:
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise OutletError(f"the secret begins with {PREFIX}, but the rest is not base64") from None


def _why(error: Exception, timeout_s: float) -> str:
    """A short reason from the exceptions of ``urllib`` and the system."""
    cause: Any = getattr(error, "reason", error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message}"
    if isinstance(cause, TimeoutError):
        return f"no answer in {timeout_s:g} s"
    if isinstance(cause, http.client.HTTPException | ValueError):  # their text may contain the URL
        return f"no valid answer ({type(cause).__name__})"
    return reason(cause) if isinstance(cause, BaseException) else "can't be reached"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Disables redirects, so that an event goes only to the configured URL."""

    def redirect_request(self, *_: Any) -> None:
        return None
