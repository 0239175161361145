"""Limits repeated reports of the same kind."""

_QUIET_NS = 60_000_000_000


class ReportLimit:
    """Lets through the first report of each kind, then one a minute with the number of those between.

    Meant for a handful of kinds: each is remembered.
    """

    def __init__(self) -> None:
        self._reported_ns: dict[str, int] = {}
        self._held_back: dict[str, int] = {}

    def admit(self, kind: str, now_ns: int) -> int | None:
        """Counts one occurrence.

        Args:
            kind: What happened.
            now_ns: When, on any one clock.

        Returns:
            If it is to be reported, how many were held back since the last report; otherwise None.
        """
        last_ns = self._reported_ns.get(kind)
        if last_ns is not None and now_ns - last_ns < _QUIET_NS:
            self._held_back[kind] = self._held_back.get(kind, 0) + 1
            return None
        self._reported_ns[kind] = now_ns
        return self._held_back.pop(kind, 0)
