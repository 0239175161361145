"""The inference agents of a fleet as it grows and shrinks."""

from collections.abc import Collection

from workers.fleet.agents_protocol import Agents, role_of
from workers.fleet.fleet_file import InferenceAgents


class InferenceSlots:
    """None until ``begin``. No name is used twice: one that is given back takes its time to end.

    Args:
        agents: Starts them.
        config: Where they run, and how many.

    Attributes:
        names: Of the agents, those that wait for a node included.
        leaving: Those that are given back as soon as they are empty.
    """

    def __init__(self, agents: Agents, config: InferenceAgents) -> None:
        self._agents, self._config = agents, config
        self._last = 0
        self.names: set[str] = set()
        self.leaving: set[str] = set()

    def begin(self, found: Collection[str]) -> None:
        """Starts the fewest that there are to be; those that are there already go on.

        Args:
            found: Agents that a coordinator before this one has started.
        """
        for name in sorted(name for name in found if role_of(name) == "inference"):
            self._last = max(self._last, int(name.rpartition("-")[2]))
            self.names.add(name)
            self._agents.start("inference", name, self._config)
        while len(self.names) < self._config.scaling.least:
            self.start_one()

    def start_one(self) -> str:
        """Starts one more; its name."""
        self._last += 1
        name = f"inference-{self._last}"
        self.names.add(name)
        self._agents.start("inference", name, self._config)
        return name

    def forget(self, name: str) -> None:
        """One is given back."""
        self.names.discard(name)
        self.leaving.discard(name)
