"""Frame rate over a sliding window."""

_SHORTEST_SPAN_NS = 250_000_000


class Rate:
    """Frames per second over a sliding window."""

    def __init__(self, window_s: float = 2.0) -> None:
        self._window_ns = int(window_s * 1e9)
        self._times: list[int] = []

    def tick(self, time_ns: int) -> None:
        """Records one frame at ``time_ns``."""
        self._times.append(time_ns)
        self._forget(time_ns)

    def fps(self, time_ns: int) -> float:
        """Frames per second over the window that ends at ``time_ns``."""
        self._forget(time_ns)
        span_ns = time_ns - self._times[0] if self._times else 0
        if span_ns < _SHORTEST_SPAN_NS:  # too short to estimate a rate
            return 0.0
        return (len(self._times) - 1) * 1e9 / span_ns

    def _forget(self, time_ns: int) -> None:
        keep = 0
        while keep < len(self._times) and self._times[keep] < time_ns - self._window_ns:
            keep += 1
        del self._times[:keep]
