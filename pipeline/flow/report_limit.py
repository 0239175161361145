"""Limits repeated reports of the same kind."""

_QUIET_NS = 60_000_000_000


class ReportLimit:
    """Passes the first report of each kind, then one per minute with the number suppressed in between.

    Suitable for a small number of kinds, because each kind is stored.
    """

    def __init__(self) -> None:
        self._reported_ns: dict[str, int] = {}
        self._held_back: dict[str, int] = {}

    def admit(self, kind: str, now_ns: int) -> int | None:
        """Counts one occurrence.

        Args:
            kind: Kind of the occurrence.
            now_ns: Current time in ns, always from the same clock.

        Returns:
            The number of reports suppressed since the last one if this one should be reported, else None.
        """
        last_ns = self._reported_ns.get(kind)
        if last_ns is not None and now_ns - last_ns < _QUIET_NS:
            self._held_back[kind] = self._held_back.get(kind, 0) + 1
            return None
        self._reported_ns[kind] = now_ns
        return self._held_back.pop(kind, 0)
