"""State that a restarted coordinator needs: cameras, drained nodes, generations."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

import msgspec

from workers.fleet.agents_protocol import Agents
from workers.fleet.camera_list import Cameras, FleetError
from workers.fleet.drained import Drained
from workers.fleet.fleet_file import Fleet, FleetStream

Generations: TypeAlias = Mapping[str, tuple[int, int]]
"""See ``FleetTable.generations``."""


class _Page(msgspec.Struct, frozen=True):
    cameras: list[FleetStream]
    nodes: dict[str, str]
    workers: list[str]
    generations: dict[str, tuple[int, int]]


class Notebook:
    """The state of a fleet and its stored copy. Call ``read`` before changing anything.

    Initially the state is that of the fleet's file.

    Args:
        fleet: The fleet's configuration.
        agents: Store the state.

    Attributes:
        cameras: The current cameras.
        drained: Drained nodes and workers.
    """

    def __init__(self, fleet: Fleet, agents: Agents) -> None:
        self._agents = agents
        self.cameras, self.drained = Cameras(fleet), Drained()
        self._generations: Generations = {}
        self._written = self._page()

    def read(self) -> Generations:
        """Restores the stored state; returns the stored generations of the streams.

        Raises:
            FleetError: The stored state can't be read.
        """
        if (kept := self._agents.kept()) is None:
            return {}
        try:
            page = msgspec.json.decode(kept, type=_Page)
        except msgspec.DecodeError as error:
            raise FleetError(
                f"the coordinator's stored state can't be read ({error}): run `fleet down`, then `fleet up`, "
                "with the same version of this program on all machines"
            ) from None
        self._take(page)
        self._written = page
        return page.generations

    def write(self, generations: Generations) -> None:
        """Stores the state if it has changed; errors of the agents are passed on."""
        self._generations = generations
        if (page := self._page()) != self._written:
            self._agents.keep(msgspec.json.encode(page))
            self._written = page

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Stores changes made in its block when it ends; undoes them if that fails.

        Raises:
            FleetError: Storing failed.
        """
        before = self._page()
        try:
            yield
            self.write(self._generations)
        except FleetError:
            self._take(before)
            raise
        except Exception as error:
            self._take(before)
            raise FleetError(f"not changed: storing failed ({type(error).__name__}: {error})") from None

    def _page(self) -> _Page:
        nodes, workers = dict(self.drained.nodes), sorted(self.drained.workers)
        return _Page(self.cameras.present, nodes, workers, dict(self._generations))

    def _take(self, page: _Page) -> None:
        self.cameras.present = page.cameras
        self.drained = Drained(page.nodes, page.workers)
        self._generations = page.generations
