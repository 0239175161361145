"""Reports listeners that have been missing for longer than a normal startup takes."""

from collections.abc import Callable, Mapping, Sequence

from pipeline.base.clock import now_ns
from pipeline.base.frame import Policy
from pipeline.wire.publisher import Publisher

_REMIND_NS = 5_000_000_000


class Waiting:
    """Checks whether all roles of a ``wait_for`` listen to a publisher.

    Args:
        publisher: The worker's own publisher.
        roles: The roles that have to listen.
        expected: Number of workers of each role.
        key: The configuration key that lists the roles, for messages.
        event: Receives human-readable events.
        patience_s: Time until the first report, in seconds; at least 5 s.
    """

    def __init__(
        self,
        publisher: Publisher,
        roles: Sequence[str],
        expected: Mapping[str, int],
        key: str,
        event: Callable[[str], None],
        patience_s: float,
    ) -> None:
        self._publisher, self._roles, self._key, self._event = publisher, roles, key, event
        self._expected = expected
        self._due_ns = now_ns() + max(int(patience_s * 1e9), _REMIND_NS)
        self._reported = False

    def absent(self) -> list[str]:
        """Roles of which some workers do not listen."""
        listeners = self._publisher.listeners()
        return [role for role in self._roles if listeners[role] < self._expected[role]]

    def absent_from(self, lane: Policy, stream_id: str) -> list[str]:
        """Roles that had no subscriber for a stream when subscriptions were last read."""
        audience = self._publisher.audience
        return [role for role in self._roles if not audience.takers(role, lane, stream_id)]

    def _in_words(self, role: str) -> str:
        """For example ``inference``, or ``inference (1 of 2)``."""
        several = self._expected[role]
        return role if several == 1 else f"{role} ({self._publisher.listeners()[role]} of {several})"

    def report(self, absent: Sequence[str]) -> None:
        """Reports absent roles when that is due, and once when all have connected."""
        if not absent:
            if self._reported:
                self._event(f"{' and '.join(self._roles)} connected")
            self._reported = False
        elif (now := now_ns()) > self._due_ns:
            self._due_ns, self._reported = now + _REMIND_NS, True
            refused = self._publisher.refused_lately()
            names = " and ".join(map(self._in_words, absent))
            self._event(f"waiting for {names} to connect ({self._key}){refused}")
