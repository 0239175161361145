"""Nodes and workers that were drained by hand."""

from workers.fleet.beat import Beat
from workers.fleet.roster import Roster


class Drained:
    """None at first. A node stays drained whatever worker is on it, also one that comes later."""

    def __init__(self) -> None:
        self._nodes: dict[str, str] = {}
        self._workers: set[str] = set()

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
            self._workers.add(text)
            return names
        self._nodes |= {place.node: place.host for place in map(roster.place, names)}
        return names

    def remove(self, text: str, roster: Roster) -> bool:
        """Takes that back; whether there was anything to take back."""
        here = {roster.place(name).node for name in roster.on_node(text, "inference") if name == text}
        nodes = [
            node
            for node, host in self._nodes.items()
            if text == host or node in here or (text and node.startswith(text))
        ]
        for node in nodes:
            del self._nodes[node]
        is_worker = text in self._workers
        self._workers.discard(text)
        return bool(nodes) or is_worker

    def has(self, beat: Beat) -> bool:
        """Whether a worker is to have no streams."""
        return beat.worker in self._workers or beat.place.node in self._nodes
