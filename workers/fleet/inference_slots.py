"""The inference agents of a fleet, whose number changes with the load."""

from collections.abc import Collection

from workers.fleet.agents_protocol import Agents, role_of
from workers.fleet.fleet_file import InferenceAgents


class InferenceSlots:
    """The current inference agents; none until ``begin``.

    Names are never reused, since a released agent takes time to stop.

    Args:
        agents: Starts the agents.
        config: Where the agents run, and how many.

    Attributes:
        names: All agents, including those that wait for a node.
        leaving: Agents to release once they have no streams.
    """

    def __init__(self, agents: Agents, config: InferenceAgents) -> None:
        self._agents, self._config = agents, config
        self._last = 0
        self.names: set[str] = set()
        self.leaving: set[str] = set()

    def begin(self, found: Collection[str]) -> None:
        """Starts the minimum number of agents; existing ones keep running.

        Args:
            found: Agents that an earlier coordinator started.
        """
        for name in sorted(name for name in found if role_of(name) == "inference"):
            self._last = max(self._last, int(name.rpartition("-")[2]))
            self.names.add(name)
            self._agents.start("inference", name, self._config)
        while len(self.names) < self._config.scaling.least:
            self.start_one()

    def start_one(self) -> str:
        """Starts one more agent and returns its name."""
        self._last += 1
        name = f"inference-{self._last}"
        self.names.add(name)
        self._agents.start("inference", name, self._config)
        return name

    def forget(self, name: str) -> None:
        """Removes a released agent."""
        self.names.discard(name)
        self.leaving.discard(name)
