"""The workers of a fleet as the coordinator has heard of them last."""

from dataclasses import dataclass, field
from typing import Any

from pipeline.base.role_names import Role
from workers.fleet.beat import Beat, Place
from workers.roles import SYSTEM


@dataclass
class Known:
    """A worker that was heard of.

    Attributes:
        beat: The last one.
        heard_ns: When that came.
        is_up: It works, as far as is known.
        links: To whom it was told to connect, by key of ``[endpoints]``.
    """

    beat: Beat
    heard_ns: int
    is_up: bool = False
    links: dict[str, list[str]] = field(default_factory=dict)


class Roster:
    """Takes beats, and notices who comes and goes.

    Args:
        lease_s: Who has not answered for so long is down.
    """

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._known: dict[str, Known] = {}

    def take(self, beat: Beat, now_ns: int) -> str:
        """Takes in a beat.

        Returns:
            Why the worker that was up is so no longer, in words; empty if it still is, or was not. A worker
            that was started anew went down and came up.
        """
        known = self._known.setdefault(beat.worker, Known(beat, now_ns))
        is_another = (known.beat.session, known.beat.place) != (beat.session, beat.place)
        went = ""
        if known.is_up and (is_another or beat.state != "ready"):
            went = "it was started anew" if is_another else "it died or hangs"
            known.is_up = False
        if is_another or went:
            known.links = {}
        known.beat, known.heard_ns = beat, now_ns
        return went

    def comes_up(self, name: str) -> bool:
        """Whether a worker works that did not before; it counts as up from then on."""
        known = self._known[name]
        came = known.beat.state == "ready" and not known.is_up
        known.is_up = known.beat.state == "ready"
        return came

    def silent(self, now_ns: int, longer_than_s: float) -> list[Known]:
        """Workers that are up as far as is known, and have not answered for longer than that."""
        return [known for known in self.up() if now_ns - known.heard_ns > longer_than_s * 1e9]

    def expired(self, now_ns: int) -> list[str]:
        """Workers that were up and have not answered for too long; they count as down from then on."""
        late = self.silent(now_ns, self._lease_s)
        return [known.beat.worker for known in late if self.lose(known.beat.worker, known.heard_ns)]

    def lose(self, name: str, heard_ns: int) -> bool:
        """A worker that was heard last at that time is gone; False if it was heard since, or is down."""
        known = self._known.get(name)
        if known is None or not known.is_up or known.heard_ns != heard_ns:
            return False
        known.is_up, known.links = False, {}
        return True

    def forget(self, name: str) -> None:
        """A worker was given back."""
        self._known.pop(name, None)

    def to_connect(self) -> list[tuple[str, dict[str, list[str]]]]:
        """Workers that are not connected to all that they should hear, and to whom they are to connect."""
        endpoints, found = self.endpoints(), []
        for known in self.up():
            links: dict[str, list[str]] = {key: endpoints[key] for key in SYSTEM[known.beat.role].connects}
            if known.links != links and all(links.values()):
                found.append((known.beat.worker, links))
        return found

    def connected(self, name: str, links: dict[str, list[str]]) -> None:
        """A worker has connected to these."""
        if self.is_up(name):
            self._known[name].links = links

    def place(self, name: str) -> Place:
        """Where a worker is that was heard of."""
        return self._known[name].beat.place

    def is_up(self, name: str) -> bool:
        """Whether a worker works, as far as is known."""
        known = self._known.get(name)
        return known is not None and known.is_up

    def up(self, role: Role | None = None) -> list[Known]:
        """Those that work; of one role, or all."""
        return [
            known
            for known in self._known.values()
            if known.is_up and (role is None or known.beat.role == role)
        ]

    def on_node(self, node: str, role: Role) -> list[str]:
        """Workers of a role on a node.

        Args:
            node: Its id or the beginning of that, its address, or the name of one worker.
            role: Of the workers.
        """
        return sorted(
            name
            for name, known in self._known.items()
            if known.beat.role == role
            and (node in (name, known.beat.place.host) or (node and known.beat.place.node.startswith(node)))
        )

    def endpoints(self) -> dict[str, list[str]]:
        """Of all that were heard, by key of ``[endpoints]``; also of one that is down: it comes back."""
        keys = [key for info in SYSTEM.values() for key in (info.binds, info.stats) if key is not None]
        found: dict[str, list[str]] = {key: [] for key in keys}
        for name in sorted(self._known):
            for key, endpoint in self._known[name].beat.endpoints.items():
                found[key].append(endpoint)
        return found

    def about(self, name: str, now_ns: int) -> dict[str, Any]:
        """What there is to say of a worker, as plain JSON data."""
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
            "heard_s": round((now_ns - known.heard_ns) / 1e9, 2),
            "streams": len(beat.streams) if beat.role != "sink" else None,
            "busy": round(beat.load.busy, 3) if beat.load else None,
            **({"page": beat.page} if beat.page else {}),
        }
