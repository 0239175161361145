"""Counts rejected messages and reports them with a rate limit."""

import time

from pipeline.base.errors import WireError

_QUIET_S = 60.0
_MOST_REPORTS = 256


class Rejects:
    """Rejected messages of one receiver: counts all, reports each peer and reason at most once per minute.

    Attributes:
        counts: Number of rejected messages by reason: see ``WireError.reason``.
        latest: Last rejected peer and the error message, by reason.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.latest: dict[str, str] = {}
        self._reported: dict[tuple[str, str], float] = {}
        self._reports: list[str] = []

    def add(self, peer: str, error: WireError) -> None:
        """Counts one rejected message of a peer."""
        self.counts[error.reason] = self.counts.get(error.reason, 0) + 1
        self.latest[error.reason] = f"{peer}: {error}"
        now = time.monotonic()
        key = (peer, error.reason)
        if now - self._reported.get(key, -_QUIET_S) < _QUIET_S:
            return
        if len(self._reported) >= _MOST_REPORTS:
            self._reported = {seen: at for seen, at in self._reported.items() if now - at < _QUIET_S}
        if len(self._reported) < _MOST_REPORTS:
            self._reported[key] = now
            self._reports.append(f"{peer}: {error}")

    def pop_reports(self) -> list[str]:
        """New reports, one line each."""
        reports, self._reports = self._reports, []
        return reports
