"""Agents and coordinator as Ray actors; the only module that imports Ray.

They are named and detached: they outlive the command that started them, and Ray starts them again where
there is room, also on another node.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
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
_CONNECT_S = 5.0
_ASK_S = 45.0
_STOP_S = 30.0
_CLOSE_S = 150.0
_LOOK_S = 0.1
_AGAIN_S = 5.0
_QUESTIONS = 8
_BEATS = "beats"
_CALLS = 32


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
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    host, _, port = address.rpartition(":")
    try:
        if port.isdecimal():  # Ray itself would try for minutes
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
        package.init(address, namespace=_namespace(fleet), log_to_driver=False, logging_level="error")
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        cause = _first_line(error)
        raise RayError(
            f"no Ray cluster at {address!r} ({cause}): `ray start --head` on one machine, "
            "`ray start --address HEAD:6379` on the others, among them this one"
        ) from None


def up(fleet: Fleet, config: Config) -> Any:
    """Starts the coordinator of a fleet; the one that is there goes on.

    Returns:
        Its handle.

    Raises:
        RayError: The one that is there was told something else.
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
            f"fleet {fleet.name!r} is up with another configuration: `fleet down --fleet {fleet.name}` "
            "first; cameras alone: `fleet add`, `fleet remove`"
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
        raise _no_fleet(fleet) from None


def call(actor: Any, method: str, *args: Any, timeout_s: float = _ASK_S) -> Any:
    """Calls a method of an actor, and waits for what it returns; again if it is just being started again.

    Raises:
        RayError: It does not answer.
        UserError: What it raised.
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
                raise RayError(f"the fleet does not answer: {_first_line(error)}") from None
        time.sleep(_LOOK_S)


def listening(config: Config, actor: Any) -> Config:
    """The configuration of a monitor of all workers, wherever they are now."""
    return with_endpoints_of(config, call(actor, "status")["endpoints"])


def down(fleet: str) -> None:
    """Ends a fleet: its workers in order, then its coordinator, then what else is left.

    Raises:
        RayError: There is none.
    """
    package, names = ray(), _names(fleet)
    if not names:
        raise _no_fleet(fleet)
    with contextlib.suppress(RayError):
        call(coordinator(fleet), "close", timeout_s=_CLOSE_S)
    for name in sorted(names, key=lambda name: name != _COORDINATOR):  # it would start the others again
        with contextlib.suppress(ValueError):
            package.kill(package.get_actor(name, namespace=_namespace(fleet)), no_restart=True)


def _names(fleet: str) -> set[str]:
    """Of all actors of a fleet."""
    actors = ray().util.list_named_actors(all_namespaces=True)
    return {one["name"] for one in actors if one["namespace"] == _namespace(fleet)}


def _no_fleet(fleet: str) -> RayError:
    return RayError(f"no fleet {fleet!r} is up: python run_stream.py fleet up --config FILE")


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
        super().__init__(read, _RayAgents(read.name, config, folder, read.beat_s))

    def has(self, fleet: bytes, config: bytes) -> bool:
        """Whether it was started with these."""
        return self._told == (fleet, config)


@dataclass
class _Known:
    """An agent that was started, and its answer that is awaited."""

    role: Role
    name: str
    where: AgentsConfig
    handle: Any
    started_s: float
    awaited: Any = None
    asked_s: float = 0.0
    questions: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(_QUESTIONS)
    )


class _RayAgents:
    """See ``Agents``.

    Args:
        fleet: Its name.
        config: Of all workers, as JSON.
        folder: In which relative paths begin.
        beat_s: How often each is asked how it is.
    """

    def __init__(self, fleet: str, config: bytes, folder: str, beat_s: float) -> None:
        self._ray = ray()
        self._fleet, self._namespace = fleet, _namespace(fleet)
        self._config, self._folder, self._beat_s = config, folder, beat_s
        self._agents: dict[str, _Known] = {}

    def start(self, role: Role, name: str, where: AgentsConfig) -> None:
        """See ``Agents``."""
        handle = (
            self._ray.remote(concurrency_groups={_BEATS: 1})(_AgentActor)
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
        self._agents[name] = _Known(role, name, where, handle, time.monotonic())

    def stop(self, name: str) -> None:
        """See ``Agents``."""
        if (known := self._agents.pop(name, None)) is None:
            return
        with contextlib.suppress(self._ray.exceptions.RayError):  # its node is gone, or it never began
            self._ray.get(known.handle.stop.remote(), timeout=_STOP_S)
        self._ray.kill(known.handle, no_restart=True)

    def names(self) -> list[str]:
        """See ``Agents``."""
        return sorted(_names(self._fleet) - {_COORDINATOR})

    def beats(self) -> list[Beat]:
        """See ``Agents``."""
        now, beats = time.monotonic(), []
        for known in list(self._agents.values()):
            if known.awaited is None and now - known.asked_s >= self._beat_s:
                known.awaited, known.asked_s = _beat(known.handle), now
        awaited = {known.awaited: known for known in list(self._agents.values()) if known.awaited is not None}
        if not awaited:
            return []
        ready, _ = self._ray.wait(list(awaited), num_returns=len(awaited), timeout=0)
        for ref in ready:
            known = awaited[ref]
            known.awaited = None
            try:
                beats.append(self._ray.get(ref))
            except self._ray.exceptions.ActorUnavailableError:
                continue  # its node is gone, or it is being started
            except self._ray.exceptions.RayError:  # it could not begin, as on a full disk: Ray leaves it dead
                if now - known.started_s > _AGAIN_S:
                    self.start(known.role, known.name, known.where)
        return beats

    def ask(self, name: str, question: Question, is_gone: Callable[[], bool]) -> Answer:
        """See ``Agents``."""
        known = self._agents.get(name)
        if known is None:
            return Answer(0, b"it was given back")
        with known.questions:  # a worker does one after the other
            return self._ask(known, question, is_gone)

    def _ask(self, known: _Known, question: Question, is_gone: Callable[[], bool]) -> Answer:
        until = time.monotonic() + _ASK_S
        try:
            ref = known.handle.ask.remote(question)
            # Of a node that is cut off Ray itself says so only after ten seconds or more.
            while not self._ray.wait([ref], timeout=_LOOK_S)[0]:
                if is_gone() or time.monotonic() > until:
                    return Answer(0, b"it does not answer")
            answer: Answer = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            return Answer(0, _first_line(error).encode())
        return answer


def _beat(handle: Any) -> Any:
    """Asks an agent how its worker is, in a thread of its own: questions may take all others."""
    return handle.beat.options(concurrency_group=_BEATS).remote()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
