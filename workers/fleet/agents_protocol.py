"""The interface of agents that the coordinator uses, and their names."""

from collections.abc import Callable
from typing import Final, Protocol

from pipeline.base.role_names import Role
from workers.fleet.beat import Beat
from workers.fleet.fleet_file import AgentsConfig
from workers.fleet.worker_client import Answer, Question

SINK: Final = "sink"
STOP_ORDER: Final[tuple[Role, ...]] = ("capture", "inference", "sink")


class Agents(Protocol):
    """The agents of the fleet, wherever they run."""

    def start(self, role: Role, name: str, where: AgentsConfig) -> None:
        """Makes sure that there is such an agent; nothing happens if there is."""

    def stop(self, name: str) -> None:
        """Ends an agent and its worker, in order."""

    def names(self) -> list[str]:
        """Those that were started, by this coordinator or one before it."""

    def beats(self) -> list[Beat]:
        """What has come in since the last call; asks again those that have answered."""

    def ask(self, name: str, question: Question, is_gone: Callable[[], bool]) -> Answer:
        """Asks a worker through its agent; code 0 if that can't be done, or it is gone before it answers."""

    def trouble(self, name: str) -> str:
        """Why nothing is heard of an agent, as far as is known, in one line; empty if there is no trouble."""

    def keep(self, text: bytes) -> None:
        """Keeps what the next coordinator has to know; it is safe when this returns."""

    def kept(self) -> bytes | None:
        """What was kept last, by this coordinator or one before it; None: nothing."""


def capture_name(name: str) -> str:
    """Of the capture agent of ``[capture.NAME]``."""
    return name if name == "capture" else f"capture-{name}"


def role_of(name: str) -> Role:
    """Of an agent."""
    return next(role for role in STOP_ORDER if name.partition("-")[0] == role)
