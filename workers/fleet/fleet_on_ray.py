"""A fleet on Ray: its coordinator as an actor, controlled from the command line.

Its actors are named and detached: they outlive the command that started them, and Ray restarts them on any
node that has room.
"""

import contextlib
import time
from pathlib import Path
from typing import Any

import msgspec

from pipeline.base.config import Config
from pipeline.base.errors import UserError
from pipeline.base.program import PROGRAM
from workers.fleet.coordinator import Coordinator
from workers.fleet.fleet_file import Fleet, with_endpoints_of
from workers.fleet.ray_agents import CALLS, COORDINATOR, KEPT, RayAgents
from workers.fleet.ray_cluster import RayError, first_line, fleets_with, kv, names, namespace, ray

_ASK_S = 45.0
_CLOSE_S = 150.0
_LOOK_S = 0.1


def up(fleet: Fleet, config: Config) -> Any:
    """Starts the coordinator of a fleet, or keeps the one that is already running.

    Returns:
        The coordinator's handle.

    Raises:
        RayError: The fleet is already running with another configuration.
    """
    told = msgspec.json.encode(fleet), msgspec.json.encode(config)
    actor = (
        ray()
        .remote(_CoordinatorActor)
        .options(
            name=COORDINATOR,
            namespace=namespace(fleet.name),
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_concurrency=CALLS,
            num_cpus=0,
            resources={"node:__internal_head__": 0.001},  # a fleet can't run without its head
        )
        .remote(*told, str(Path.cwd()))
    )
    if not call(actor, "has", *told):
        raise RayError(
            f"fleet {fleet.name!r} is up with another configuration: run `fleet down --fleet {fleet.name}` "
            "first; to change only cameras, use `fleet add` and `fleet remove`"
        )
    return actor


def coordinator(fleet: str) -> Any:
    """The running coordinator of a fleet.

    Raises:
        RayError: The fleet is not up.
    """
    try:
        return ray().get_actor(COORDINATOR, namespace=namespace(fleet))
    except ValueError:
        raise _no_fleet(fleet) from None


def call(actor: Any, method: str, *args: Any, timeout_s: float = _ASK_S) -> Any:
    """Calls a method of an actor and returns its result; retries while the actor is restarting.

    Raises:
        RayError: The actor does not answer.
        UserError: Raised by the method.
    """
    package, until = ray(), time.monotonic() + timeout_s
    while True:
        try:
            return package.get(getattr(actor, method).remote(*args), timeout=timeout_s)
        except package.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise error.cause from None
            raise
        except (package.exceptions.RayActorError, package.exceptions.GetTimeoutError) as error:
            starts = isinstance(error, package.exceptions.ActorUnavailableError)
            if not starts or time.monotonic() > until:
                raise RayError(f"the fleet does not answer: {first_line(error)}") from None
        time.sleep(_LOOK_S)


def listening(config: Config, actor: Any) -> Config:
    """The configuration of a monitor that listens to all workers at their current endpoints."""
    return with_endpoints_of(config, call(actor, "status")["endpoints"])


def down(fleet: str) -> None:
    """Stops a fleet: its workers in order, then its coordinator, then anything left over.

    Raises:
        RayError: The fleet is not up.
    """
    package, found = ray(), names(fleet)
    if not found:
        raise _no_fleet(fleet)
    with contextlib.suppress(RayError):
        call(coordinator(fleet), "close", timeout_s=_CLOSE_S)
    for name in sorted(found, key=lambda name: name != COORDINATOR):  # first, or it restarts the others
        with contextlib.suppress(ValueError):
            package.kill(package.get_actor(name, namespace=namespace(fleet)), no_restart=True)
    kv()._internal_kv_del(KEPT, del_by_prefix=True, namespace=namespace(fleet))


def _no_fleet(fleet: str) -> RayError:
    start = f"start it with `{PROGRAM} fleet up --config FILE`"
    if others := fleets_with(COORDINATOR):
        start = f"running fleets: {', '.join(others)}; choose one with --fleet NAME, or {start}"
    return RayError(f"fleet {fleet!r} is not up: {start}")


class _CoordinatorActor(Coordinator):
    """A coordinator whose agents are Ray actors."""

    def __init__(self, fleet: bytes, config: bytes, folder: str) -> None:
        read = msgspec.json.decode(fleet, type=Fleet)
        self._told = fleet, config
        actor: str = ray().get_runtime_context().get_actor_id()  # unchanged by a restart
        super().__init__(read, RayAgents(read.name, config, folder, read.beat_s, actor))

    def has(self, fleet: bytes, config: bytes) -> bool:
        """Whether the coordinator was started with this configuration."""
        return self._told == (fleet, config)
