"""What a coordinator that is started again has to know: cameras, drained nodes, generations."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

import msgspec

from workers.fleet.agents_protocol import Agents
from workers.fleet.camera_list import Cameras, FleetError
from workers.fleet.drained import Drained
from workers.fleet.fleet_file import Fleet, FleetStream

Generations: TypeAlias = Mapping[str, tuple[int, int]]
"""As of ``FleetTable.generations``."""


class _Page(msgspec.Struct, frozen=True):
    cameras: list[FleetStream]
    nodes: dict[str, str]
    workers: list[str]
    generations: dict[str, tuple[int, int]]


class Notebook:
    """As the file says to begin with; ``read`` it before anything is changed.

    Args:
        fleet: The file.
        agents: Keep it.

    Attributes:
        cameras: Those that there are now.
        drained: What was drained by hand.
    """

    def __init__(self, fleet: Fleet, agents: Agents) -> None:
        self._agents = agents
        self.cameras, self.drained = Cameras(fleet), Drained()
        self._generations: Generations = {}
        self._written = self._page()

    def read(self) -> Generations:
        """Goes on from what was kept last; generations of streams as they were then.

        Raises:
            FleetError: It can't be read.
        """
        if (kept := self._agents.kept()) is None:
            return {}
        try:
            page = msgspec.json.decode(kept, type=_Page)
        except msgspec.DecodeError as error:
            raise FleetError(
                f"what the last coordinator has kept can't be read ({error}): `fleet down`, then `fleet up`, "
                "with one version of this program everywhere"
            ) from None
        self._take(page)
        self._written = page
        return page.generations

    def write(self, generations: Generations) -> None:
        """Keeps all of it, if anything has changed; whatever the agents raise if that can't be done."""
        self._generations = generations
        if (page := self._page()) != self._written:
            self._agents.keep(msgspec.json.encode(page))
            self._written = page

    @contextmanager
    def changing(self) -> Iterator[None]:
        """What is changed within is kept when this ends, or not done.

        Raises:
            FleetError: It can't be kept.
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
            raise FleetError(f"not done, as it can't be kept: {type(error).__name__}: {error}") from None

    def _page(self) -> _Page:
        nodes, workers = dict(self.drained.nodes), sorted(self.drained.workers)
        return _Page(self.cameras.present, nodes, workers, dict(self._generations))

    def _take(self, page: _Page) -> None:
        self.cameras.present = page.cameras
        self.drained = Drained(page.nodes, page.workers)
        self._generations = page.generations
