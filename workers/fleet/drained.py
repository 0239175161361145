"""Nodes and workers drained by ``fleet drain``."""

from collections.abc import Iterable, Mapping

from workers.fleet.beat import Beat
from workers.fleet.roster import Roster


class Drained:
    """Drained nodes and workers; a drained node also covers workers that start there later.

    Attributes:
        nodes: Address of each drained node, by node id.
        workers: Workers that were drained by name.
    """

    def __init__(self, nodes: Mapping[str, str] | None = None, workers: Iterable[str] = ()) -> None:
        self.nodes = dict(nodes or {})
        self.workers = set(workers)

    def add(self, text: str, roster: Roster) -> list[str]:
        """Drains a node or a worker.

        Args:
            text: A node's id or a prefix of it, its address, or the name of one worker.
            roster: The known workers.

        Returns:
            The inference workers that run there now; if there are none, nothing is drained.
        """
        names = roster.on_node(text, "inference")
        if text in names:
            self.workers.add(text)
            return names
        self.nodes |= {place.node: place.host for place in map(roster.place, names)}
        return names

    def remove(self, text: str, roster: Roster) -> bool:
        """Undoes ``add``; returns whether the node or worker was drained."""
        here = {roster.place(name).node for name in roster.on_node(text, "inference") if name == text}
        nodes = [
            node
            for node, host in self.nodes.items()
            if text == host or node in here or (text and node.startswith(text))
        ]
        for node in nodes:
            del self.nodes[node]
        is_worker = text in self.workers
        self.workers.discard(text)
        return bool(nodes) or is_worker

    def has(self, beat: Beat) -> bool:
        """Whether a worker is drained."""
        return beat.worker in self.workers or beat.place.node in self.nodes
