"""Nodes and workers that were drained by hand."""

from collections.abc import Iterable, Mapping

from workers.fleet.beat import Beat
from workers.fleet.roster import Roster


class Drained:
    """A node stays drained whatever worker is on it, also one that comes later.

    Attributes:
        nodes: Address of each drained node, by its id.
        workers: Those that were drained by their name.
    """

    def __init__(self, nodes: Mapping[str, str] | None = None, workers: Iterable[str] = ()) -> None:
        self.nodes = dict(nodes or {})
        self.workers = set(workers)

    def add(self, text: str, roster: Roster) -> list[str]:
        """Drains a node or a worker.

        Args:
            text: A node's id or the beginning of that, its address, or the name of one worker.
            roster: Knows the workers.

        Returns:
            The inference workers that are there now; if there is none, nothing was done.
        """
        names = roster.on_node(text, "inference")
        if text in names:
            self.workers.add(text)
            return names
        self.nodes |= {place.node: place.host for place in map(roster.place, names)}
        return names

    def remove(self, text: str, roster: Roster) -> bool:
        """Takes that back; whether there was anything to take back."""
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
        """Whether a worker is to have no streams."""
        return beat.worker in self.workers or beat.place.node in self.nodes
