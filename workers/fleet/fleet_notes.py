"""Recent actions of a fleet and their reasons."""

from collections import deque
from typing import Any

from pipeline.base.clock import now_ns

_MOST = 200


class Notes:
    """The newest notes, as plain JSON data."""

    def __init__(self) -> None:
        self._notes: deque[dict[str, Any]] = deque(maxlen=_MOST)

    def add(self, what: str, **about: Any) -> None:
        """Adds a note; empty values are left out."""
        told = {key: value for key, value in about.items() if value not in ("", None)}
        self._notes.append({"time_ns": now_ns(), "what": what, **told})

    @property
    def newest(self) -> list[dict[str, Any]]:
        """The newest notes, oldest first."""
        return list(self._notes)
