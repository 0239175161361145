"""Which inference agents a fleet has: more and fewer of them come and go."""

from collections.abc import Collection

from workers.fleet.agents_protocol import Agents, role_of
from workers.fleet.fleet_file import InferenceAgents


class InferenceSlots:
    """Starts the fewest that there are to be; those that are there already go on.

    Args:
        agents: Starts them.
        config: Where they run, and how many.
        found: Agents that a coordinator before this one has started.

    Attributes:
        names: Of the agents, those that wait for a node included.
        leaving: Those that are given back as soon as they are empty.
    """

    def __init__(self, agents: Agents, config: InferenceAgents, found: Collection[str]) -> None:
        self._agents, self._config = agents, config
        self.names = {name for name in found if role_of(name) == "inference"}
        self.leaving: set[str] = set()
        for name in sorted(self.names):
            agents.start("inference", name, config)
        while len(self.names) < config.scaling.least:
            self.start_one()

    def start_one(self) -> str:
        """Starts one more; its name."""
        name = next(one for n in range(1, 100_000) if (one := f"inference-{n}") not in self.names)
        self.names.add(name)
        self._agents.start("inference", name, self._config)
        return name

    def forget(self, name: str) -> None:
        """One is given back."""
        self.names.discard(name)
        self.leaving.discard(name)
