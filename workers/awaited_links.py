"""Reports links to other machines that do not come up, with the reason."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from pipeline.base.clock import now_ns
from pipeline.base.config import EndpointsConfig
from pipeline.base.role_names import Role
from pipeline.wire import address
from pipeline.wire.links import LinkState
from pipeline.wire.reach import Reach
from workers.roles import Endpoint, connections

_PATIENCE_NS = 5_000_000_000
_REMIND_NS = 60_000_000_000


@dataclass(slots=True)
class _Awaited:
    """A link that is not up.

    Attributes:
        due_ns: When the next attempt to reach the other worker is due.
        reach: The current attempt.
        is_reported: Whether the link has been reported as not up.
    """

    due_ns: int
    reach: Reach | None = None
    is_reported: bool = False


class AwaitedLinks:
    """Checks the TCP links of a worker that have never been up, including those without a receiver yet.

    Args:
        role: The worker's role.
        event: Receives human-readable events.
        patience_s: Time until the first report, in seconds; at least 5 s.
    """

    def __init__(self, role: Role, event: Callable[[str], None], patience_s: float) -> None:
        self._role, self._event = role, event
        self._patience_ns = max(int(patience_s * 1e9), _PATIENCE_NS)
        self._awaited: dict[str, _Awaited] = {}

    def look(
        self, endpoints: EndpointsConfig, listening: Collection[Endpoint], states: Mapping[str, LinkState]
    ) -> None:
        """Reports links that have not come up in time, and reported links once they are up.

        Args:
            endpoints: The current endpoints.
            listening: Keys of the endpoints that already have a receiver.
            states: States of the receivers' links, by name.
        """
        missing = []
        for key, role, text in connections(self._role, endpoints):
            where, name = address.parse(text), f"{role} at {text}"
            if where.kind != "tcp":
                continue
            if states.get(name, "waiting") == "waiting":
                missing.append(name)
                self._try(name, where, role, is_listening=key in listening)
            elif (one := self._awaited.get(name)) and one.is_reported:
                self._event(f"{name}: connected")
        self._awaited = {name: self._awaited[name] for name in missing}

    def _try(self, name: str, where: address.Address, role: Role, *, is_listening: bool) -> None:
        one = self._awaited.setdefault(name, _Awaited(now_ns() + self._patience_ns))
        if one.reach is None:
            one.reach = Reach(where) if now_ns() >= one.due_ns else None
            return
        if (why := one.reach.poll()) is None:
            return
        # The receiver itself reports an unknown host, and a worker that answers but refuses the connection.
        if why and not (is_listening and one.reach.is_unknown_host):
            self._event(f"waiting for {name}: {why}; check the address, that {role} runs, and the firewall")
            one.is_reported = True
        one.reach, one.due_ns = None, now_ns() + _REMIND_NS
