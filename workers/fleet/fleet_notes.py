"""What was done in a fleet lately, and why."""

from collections import deque
from typing import Any

from pipeline.base.clock import now_ns

_MOST = 200


class Notes:
    """The newest ones, as plain JSON data."""

    def __init__(self) -> None:
        self._notes: deque[dict[str, Any]] = deque(maxlen=_MOST)

    def add(self, what: str, **about: Any) -> None:
        """Notes something; what is empty is left out."""
        told = {key: value for key, value in about.items() if value not in ("", None)}
        self._notes.append({"time_ns": now_ns(), "what": what, **told})

    @property
    def newest(self) -> list[dict[str, Any]]:
        """In the order in which they came."""
        return list(self._notes)
