"""Parses start times such as ``24h`` or ``2026-11-29T12:00``."""

import re
from datetime import datetime

from pipeline.base.clock import now_ns
from pipeline.base.errors import UserError

_AGO = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def since_ns(text: str) -> int:
    """Parses an age (``90s``, ``30m``, ``24h``, ``7d``) or an RFC 3339 time into a Unix time in ns.

    A time without a zone is local.

    Raises:
        UserError: The text is neither; the message begins with the text.
    """
    if found := re.fullmatch(r"([0-9]{1,9})([smhd])", text):
        return max(now_ns() - int(found[1]) * _AGO[found[2]] * 10**9, 0)
    try:
        return max(round(datetime.fromisoformat(text).timestamp() * 1000), 0) * 10**6
    except (ValueError, OverflowError, OSError):
        raise UserError(f"{text}: expected an age (90s, 30m, 24h, 7d) or a time (2026-11-29T12:00)") from None
