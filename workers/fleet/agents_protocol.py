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
        """Starts an agent unless it already exists."""

    def stop(self, name: str) -> None:
        """Stops an agent and its worker gracefully."""

    def names(self) -> list[str]:
        """Names of all agents started by this coordinator or an earlier one."""

    def beats(self) -> list[Beat]:
        """Beats received since the last call; requests the next one from each agent that has answered."""

    def ask(self, name: str, question: Question, is_gone: Callable[[], bool]) -> Answer:
        """Sends a request to a worker through its agent; code 0 if it can't be sent or the worker is lost."""

    def trouble(self, name: str) -> str:
        """Why an agent does not answer, if known, in one line; empty if it answers. May take a while."""

    def keep(self, text: bytes) -> None:
        """Stores state for the next coordinator; it is durable when this returns."""

    def kept(self) -> bytes | None:
        """The state stored last, by this coordinator or an earlier one; None if there is none."""


def capture_name(name: str) -> str:
    """Name of the capture agent of ``[capture.NAME]``."""
    return name if name == "capture" else f"capture-{name}"


def role_of(name: str) -> Role:
    """The role of an agent, from its name."""
    return next(role for role in STOP_ORDER if name.partition("-")[0] == role)
