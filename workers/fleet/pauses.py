"""Back-off after a refused request, by subject."""

_FIRST_S = 0.5
_LONGEST_S = 30.0
_NS = 1_000_000_000


class Pauses:
    """The current pause of each subject; none at first."""

    def __init__(self) -> None:
        self._pauses: dict[tuple[str, ...], tuple[float, int]] = {}

    def begin(self, key: tuple[str, ...], now_ns: int, longest_s: float = _LONGEST_S) -> bool:
        """Begins a pause twice as long as the previous one; returns whether it is the first."""
        before, _ = self._pauses.get(key, (0.0, 0))
        pause_s = min(max(2 * before, _FIRST_S), longest_s)
        self._pauses[key] = pause_s, now_ns + round(pause_s * _NS)
        return before == 0

    def holds(self, key: tuple[str, ...], now_ns: int) -> bool:
        """Whether a pause is in effect."""
        return now_ns < self._pauses.get(key, (0.0, 0))[1]

    def end(self, key: tuple[str, ...]) -> None:
        """Resets the back-off after a success."""
        self._pauses.pop(key, None)
