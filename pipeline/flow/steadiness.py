"""Tracks which workers are stable; unstable ones wait longer before they are given streams."""

from dataclasses import dataclass

_S = 1_000_000_000
_LONG = 10
"""If a worker was up for more than this multiple of its waiting time, its waiting time is reset."""
_MOST_DOUBLINGS = 6


@dataclass(slots=True)
class _Uptime:
    up_ns: int
    steady_from_ns: int


class Steadiness:
    """Tracks the uptime of workers, and how many times in a row each soon went down again.

    Args:
        steady_s: Required uptime; doubled with each consecutive failure after the first.
    """

    def __init__(self, steady_s: float) -> None:
        self._steady_s = steady_s
        self._falls: dict[str, int] = {}
        self._up: dict[str, _Uptime] = {}

    def up(self, worker: str, now_ns: int) -> None:
        """Registers that a worker is up, for the first time or again."""
        self._up[worker] = _Uptime(now_ns, now_ns + self._wait_ns(worker))

    def down(self, worker: str, now_ns: int) -> None:
        """Registers that a worker is down."""
        was_up_ns = now_ns - self._up.pop(worker).up_ns
        long_up = was_up_ns > _LONG * self._wait_ns(worker)
        self._falls[worker] = 1 if long_up else self._falls.get(worker, 0) + 1

    def put_off(self, worker: str, now_ns: int) -> None:
        """Restarts a worker's waiting time after an error."""
        standing = self._up[worker]
        standing.steady_from_ns = max(standing.steady_from_ns, now_ns + self._wait_ns(worker))

    def holds(self, worker: str, now_ns: int) -> bool:
        """Whether a worker is steady."""
        return now_ns >= self._up[worker].steady_from_ns

    def _wait_ns(self, worker: str) -> int:
        doublings = min(max(self._falls.get(worker, 0) - 1, 0), _MOST_DOUBLINGS)
        return round(self._steady_s * _S * (1 << doublings))
