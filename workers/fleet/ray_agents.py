"""The agents and the coordinator as Ray actors: the only module that imports Ray.

They are named and detached: they outlive the command that started them, and Ray starts them again where
there is room, also on another node.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pipeline.base.config import Config
from pipeline.base.errors import UserError
from pipeline.base.role_names import Role
from workers.fleet.agent import Agent
from workers.fleet.beat import Beat, Place
from workers.fleet.coordinator import Coordinator
from workers.fleet.fleet_file import AgentsConfig, Fleet, with_endpoints_of
from workers.fleet.worker_client import Answer, Question

_COORDINATOR = "coordinator"
_ASK_S = 45.0
_STOP_S = 30.0
_LOOK_S = 0.1
_CALLS = 32
_REACH_S = 5.0


class RayError(UserError):
    """Ray is missing, or there is no cluster or no fleet; one line, with what to do."""


def ray() -> Any:
    """The package.

    Raises:
        RayError: It is not installed.
    """
    try:
        import ray as package
    except ImportError:
        raise RayError("a fleet needs Ray: pip install 'kvq-stream[fleet]'") from None
    return package


def connect(fleet: str, address: str) -> None:
    """Connects this process to the cluster, in the namespace of a fleet; once.

    Raises:
        RayError: There is no cluster, or Ray is missing.
    """
    package = ray()
    if package.is_initialized():
        return
    _reach(address)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        package.init(address, namespace=_namespace(fleet), log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _no_cluster(address, str(error).splitlines()[0]) from None


def _reach(address: str) -> None:
    """Ray itself looks for two minutes for a cluster that is not there."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH_S).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, str(error)) from None


def _no_cluster(address: str, cause: str) -> RayError:
    return RayError(
        f"no Ray cluster at {address!r} ({cause}): `ray start --head` on one machine, "
        "`ray start --address HEAD:6379` on the others, among them this one"
    )


def up(fleet: Fleet, config: Config) -> Any:
    """Starts the coordinator of a fleet; the one that is there goes on.

    Returns:
        Its handle.

    Raises:
        RayError: The one that is there has another configuration.
    """
    told = msgspec.json.encode(fleet), msgspec.json.encode(config)
    actor = (
        ray()
        .remote(_CoordinatorActor)
        .options(
            name=_COORDINATOR,
            namespace=_namespace(fleet.name),
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_concurrency=_CALLS,
            num_cpus=0,
            resources={"node:__internal_head__": 0.001},  # without the head there is no fleet anyway
        )
        .remote(*told, str(Path.cwd()))
    )
    if not call(actor, "has", *told):
        raise RayError(
            f"fleet {fleet.name!r} is up with another configuration, and goes on with that: "
            "`fleet down` first; `fleet add` and `fleet remove` change its cameras"
        )
    return actor


def coordinator(fleet: str) -> Any:
    """The coordinator that runs.

    Raises:
        RayError: There is none.
    """
    try:
        return ray().get_actor(_COORDINATOR, namespace=_namespace(fleet))
    except ValueError:
        raise RayError(f"no fleet {fleet!r} is up: python run_stream.py fleet up --config FILE") from None


def call(actor: Any, method: str, *args: Any, timeout_s: float = _ASK_S) -> Any:
    """Calls a method of an actor, and waits for what it returns.

    Raises:
        RayError: It does not answer.
        UserError: What it raised.
    """
    package = ray()
    try:
        return package.get(getattr(actor, method).remote(*args), timeout=timeout_s)
    except package.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise error.cause from None
        raise
    except (package.exceptions.RayActorError, package.exceptions.GetTimeoutError) as error:
        raise RayError(f"the fleet does not answer: {str(error).splitlines()[0]}") from None


def listening(config: Config, actor: Any) -> Config:
    """The configuration of a monitor of all workers, wherever they are now."""
    return with_endpoints_of(config, call(actor, "status")["endpoints"])


def down(actor: Any) -> None:
    """Ends a fleet: its workers in order, then its coordinator."""
    call(actor, "close", timeout_s=120.0)
    ray().kill(actor, no_restart=True)


def _namespace(fleet: str) -> str:
    return f"kvq-{fleet}"


class _AgentActor(Agent):
    """An agent that knows its node."""

    def __init__(self, role: Role, name: str, config: bytes, folder: str, threads: int) -> None:
        package = ray()
        if Path(folder).is_dir():  # so that paths of the configuration mean the same on all machines
            os.chdir(folder)
        place = Place(package.get_runtime_context().get_node_id(), package.util.get_node_ip_address())
        super().__init__(role, name, config, place, threads)


class _CoordinatorActor(Coordinator):
    """A coordinator of agents that are actors."""

    def __init__(self, fleet: bytes, config: bytes, folder: str) -> None:
        read = msgspec.json.decode(fleet, type=Fleet)
        self._told = fleet, config
        super().__init__(read, _RayAgents(_namespace(read.name), config, folder, read.beat_s))

    def has(self, fleet: bytes, config: bytes) -> bool:
        """Whether it was started with these."""
        return self._told == (fleet, config)

    def pid(self) -> int:
        """Of its process."""
        return os.getpid()


@dataclass
class _Known:
    """The handle of an agent, and its answer that is awaited."""

    handle: Any
    awaited: Any = None
    asked_s: float = 0.0


class _RayAgents:
    """See ``Agents``.

    Args:
        namespace: Of the fleet.
        config: Of all workers, as JSON.
        folder: In which relative paths begin.
        beat_s: How often each is asked how it is.
    """

    def __init__(self, namespace: str, config: bytes, folder: str, beat_s: float) -> None:
        self._ray = ray()
        self._namespace, self._config, self._folder, self._beat_s = namespace, config, folder, beat_s
        self._agents: dict[str, _Known] = {}

    def start(self, role: Role, name: str, where: AgentsConfig) -> None:
        """See ``Agents``."""
        handle = (
            self._ray.remote(_AgentActor)
            .options(
                name=name,
                namespace=self._namespace,
                lifetime="detached",
                get_if_exists=True,
                max_restarts=-1,
                max_concurrency=_CALLS,
                num_cpus=where.cpus,
                num_gpus=where.gpus,
                label_selector=where.labels,
                scheduling_strategy="SPREAD",
            )
            .remote(role, name, self._config, self._folder, max(int(where.cpus), 1))
        )
        self._agents[name] = _Known(handle)

    def stop(self, name: str) -> None:
        """See ``Agents``."""
        known = self._agents.pop(name)
        with contextlib.suppress(self._ray.exceptions.RayError):  # its node is gone, or it never began
            self._ray.get(known.handle.stop.remote(), timeout=_STOP_S)
        self._ray.kill(known.handle, no_restart=True)

    def names(self) -> list[str]:
        """See ``Agents``."""
        actors = self._ray.util.list_named_actors(all_namespaces=True)
        mine = {one["name"] for one in actors if one["namespace"] == self._namespace}
        return sorted(mine - {_COORDINATOR})

    def beats(self) -> list[Beat]:
        """See ``Agents``."""
        now, beats = time.monotonic(), []
        for known in list(self._agents.values()):
            if known.awaited is None and now - known.asked_s >= self._beat_s:
                known.awaited, known.asked_s = known.handle.beat.remote(), now
        awaited = {known.awaited: known for known in list(self._agents.values()) if known.awaited is not None}
        if not awaited:
            return []
        ready, _ = self._ray.wait(list(awaited), num_returns=len(awaited), timeout=0)
        for ref in ready:
            awaited[ref].awaited = None
            try:
                beats.append(self._ray.get(ref))
            except self._ray.exceptions.RayError:
                continue  # its node is gone, or it is being started
        return beats

    def ask(self, name: str, question: Question, is_gone: Callable[[], bool]) -> Answer:
        """See ``Agents``."""
        known = self._agents.get(name)
        if known is None:
            return Answer(0, b"it was given back")
        until = time.monotonic() + _ASK_S
        try:
            ref = known.handle.ask.remote(question)
            # Of a node that is cut off Ray itself says so only after ten seconds or more.
            while not self._ray.wait([ref], timeout=_LOOK_S)[0]:
                if is_gone() or time.monotonic() > until:
                    return Answer(0, b"it does not answer")
            answer: Answer = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            return Answer(0, str(error).splitlines()[0].encode())
        return answer
