"""The latest known state of a fleet's workers."""

from dataclasses import dataclass, field
from typing import Any

from pipeline.base.role_names import Role
from workers.fleet.beat import Beat, Place
from workers.roles import SYSTEM

_S = 1_000_000_000
_MOST_PART = 3
_TIMES_SLOWEST, _TIMES_LEASE = 3, 4
_LATELY_NS = 60 * _S


@dataclass
class Known:
    """A worker from which at least one beat was received.

    Attributes:
        beat: The last beat.
        heard_ns: When it was received.
        silent_ns: Observed time without a beat since then.
        slowest_ns: The longest recent ``silent_ns``, and when it occurred.
        is_up: Whether it works, as far as is known.
        links: Endpoints to which it has connected, by key of ``[endpoints]``.
    """

    beat: Beat
    heard_ns: int
    silent_ns: int = 0
    slowest_ns: tuple[int, int] = (0, 0)
    is_up: bool = False
    links: dict[str, list[str]] = field(default_factory=dict)


class Roster:
    """Takes beats and tracks which workers are up.

    Args:
        lease_s: A worker that has not answered for this long is down. If its slowest answer of the last
            minute took more than a third of this time, as on an overloaded machine, the limit is three times
            that answer, but at most four leases. Only time during which the coordinator was running counts:
            while it stalls, no answer can arrive.
    """

    def __init__(self, lease_s: float) -> None:
        self._lease_ns = round(lease_s * _S)
        self._looked_ns: int | None = None
        self._known: dict[str, Known] = {}

    def take(self, beat: Beat, now_ns: int) -> str:
        """Processes a beat.

        Returns:
            Why a worker that was up went down; empty if it is still up, or was not up. A restarted worker
            counts as one that went down and came up.
        """
        known = self._known.setdefault(beat.worker, Known(beat, now_ns))
        is_another = (known.beat.session, known.beat.place) != (beat.session, beat.place)
        went = ""
        if known.is_up and (is_another or beat.state != "ready"):
            went = "it was restarted" if is_another else "it died or hung"
            known.is_up = False
        if is_another or went:
            known.links = {}
        if is_another:
            known.slowest_ns = 0, now_ns
        elif known.silent_ns >= known.slowest_ns[0] or now_ns - known.slowest_ns[1] > _LATELY_NS:
            known.slowest_ns = known.silent_ns, now_ns
        known.beat, known.heard_ns, known.silent_ns = beat, now_ns, 0
        return went

    def comes_up(self, name: str) -> bool:
        """Whether a worker has become ready; it counts as up from then on."""
        known = self._known[name]
        came = known.beat.state == "ready" and not known.is_up
        known.is_up = known.beat.state == "ready"
        return came

    def silent(self, now_ns: int, longer_than_s: float) -> list[Known]:
        """Workers that count as up and have not answered for longer than ``longer_than_s``."""
        return [known for known in self.up() if now_ns - known.heard_ns > longer_than_s * _S]

    def expired(self, now_ns: int) -> dict[str, float]:
        """Workers whose lease has expired, with its length in s; they count as down from then on.

        Call it often: at most a third of the lease is counted between two calls.
        """
        since_ns = now_ns if self._looked_ns is None else self._looked_ns
        self._looked_ns, up = now_ns, self.up()
        for known in up:
            passed_ns = now_ns - max(known.heard_ns, since_ns)
            known.silent_ns += min(passed_ns, self._lease_ns // _MOST_PART)
        late = [known for known in up if known.silent_ns > self._lease_of(known)]
        for known in late:
            self.lose(known.beat.worker, known.heard_ns)
        return {known.beat.worker: self._lease_of(known) / _S for known in late}

    def lose(self, name: str, heard_ns: int) -> bool:
        """Marks a worker as down if it is up and sent no beat after ``heard_ns``; returns whether it did."""
        known = self._known.get(name)
        if known is None or not known.is_up or known.heard_ns != heard_ns:
            return False
        known.is_up, known.links = False, {}
        return True

    def _lease_of(self, known: Known) -> int:
        return min(max(self._lease_ns, _TIMES_SLOWEST * known.slowest_ns[0]), _TIMES_LEASE * self._lease_ns)

    def forget(self, name: str) -> None:
        """Removes a released worker."""
        self._known.pop(name, None)

    def to_connect(self) -> list[tuple[str, dict[str, list[str]]]]:
        """Workers that lack connections, with all endpoints to which they should connect."""
        endpoints, found = self.endpoints(), []
        for known in self.up():
            links: dict[str, list[str]] = {key: endpoints[key] for key in SYSTEM[known.beat.role].connects}
            if known.links != links and all(links.values()):
                found.append((known.beat.worker, links))
        return found

    def connected(self, name: str, links: dict[str, list[str]]) -> None:
        """Records the endpoints to which a worker has connected."""
        if self.is_up(name):
            self._known[name].links = links

    def place(self, name: str) -> Place:
        """Where a known worker runs."""
        return self._known[name].beat.place

    def is_up(self, name: str) -> bool:
        """Whether a worker works, as far as is known."""
        known = self._known.get(name)
        return known is not None and known.is_up

    def is_missing(self, name: str) -> bool:
        """Whether an agent has never sent a beat, or has not answered since its lease expired."""
        known = self._known.get(name)
        return known is None or (not known.is_up and known.beat.state == "ready")

    def up(self, role: Role | None = None) -> list[Known]:
        """Workers that are up, of one role or of all roles."""
        return [
            known
            for known in self._known.values()
            if known.is_up and (role is None or known.beat.role == role)
        ]

    def on_node(self, node: str, role: Role) -> list[str]:
        """Workers of a role on a node.

        Args:
            node: The node's id or a prefix of it, its address, or the name of one worker.
            role: Role of the workers.
        """
        return sorted(
            name
            for name, known in self._known.items()
            if known.beat.role == role
            and (node in (name, known.beat.place.host) or (node and known.beat.place.node.startswith(node)))
        )

    def endpoints(self) -> dict[str, list[str]]:
        """Endpoints of all known workers, including those that are down, by key of ``[endpoints]``."""
        keys = [key for info in SYSTEM.values() for key in (info.binds, info.stats) if key is not None]
        found: dict[str, list[str]] = {key: [] for key in keys}
        for name in sorted(self._known):
            for key, endpoint in self._known[name].beat.endpoints.items():
                found[key].append(endpoint)
        return found

    def about(self, name: str, now_ns: int) -> dict[str, Any]:
        """The status of a worker as plain JSON data."""
        known = self._known.get(name)
        if known is None:
            return {"state": "waits"}
        beat = known.beat
        return {
            "state": beat.state if known.is_up or beat.state != "ready" else "not heard",
            "node": beat.place.node,
            "host": beat.place.host,
            "pid": beat.pid,
            "restarts": beat.restarts,
            "heard_s": round((now_ns - known.heard_ns) / _S, 2),
            "lease_s": round(self._lease_of(known) / _S, 2),
            "streams": len(beat.streams) if beat.role != "sink" else None,
            "busy": round(beat.load.busy, 3) if beat.load else None,
            **({"page": beat.page} if beat.page else {}),
        }
