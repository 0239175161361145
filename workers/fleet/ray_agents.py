"""The agents of a fleet as Ray actors."""

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pipeline.base.role_names import Role
from workers.fleet.agent import Agent
from workers.fleet.beat import Beat, Place
from workers.fleet.fleet_file import AgentsConfig
from workers.fleet.node_room import waits_for
from workers.fleet.ray_cluster import first_line, is_placed, kv, names, namespace, nodes_with_room, ray
from workers.fleet.worker_client import Answer, Question

COORDINATOR: Final = "coordinator"
KEPT: Final = "notebook-"
CALLS: Final = 32
_ASK_S = 45.0
_STOP_S = 30.0
_LOOK_S = 0.1
_AGAIN_S = 5.0
_SLOW_S = 5.0
"""After this long without an answer, Ray is asked whether the agent has a process; starting takes time."""
_QUESTIONS = 8
_BEATS = "beats"
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_OTHER_VERSION = re.compile(r"(\w+\.)*(Type|Attribute|Import|ModuleNotFound|Validation)Error\b")
_HOST = re.compile(r"\bip=([0-9A-Fa-f.:]+)")


class _AgentActor(Agent):
    """An agent that reports the node it runs on."""

    def __init__(self, role: Role, name: str, config: bytes, folder: str, threads: int) -> None:
        package = ray()
        if Path(folder).is_dir():  # so that relative paths have the same meaning on all machines
            os.chdir(folder)
        place = Place(package.get_runtime_context().get_node_id(), package.util.get_node_ip_address())
        super().__init__(role, name, config, place, threads)


@dataclass
class _Known:
    """A started agent and its pending answer."""

    role: Role
    name: str
    where: AgentsConfig
    handle: Any
    started_s: float
    heard_s: float
    awaited: Any = None
    asked_s: float = 0.0
    questions: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(_QUESTIONS)
    )


class RayAgents:
    """The agents of a fleet as Ray actors; see ``Agents``.

    Args:
        fleet: Name of the fleet.
        config: Configuration of all workers, as JSON.
        folder: Base of relative paths.
        beat_s: Interval between heartbeats of each agent.
        owner: Owner of the stored state; another coordinator of this fleet does not find it.
    """

    def __init__(self, fleet: str, config: bytes, folder: str, beat_s: float, owner: str) -> None:
        self._ray = ray()
        self._fleet, self._namespace = fleet, namespace(fleet)
        self._config, self._folder, self._beat_s = config, folder, beat_s
        self._agents: dict[str, _Known] = {}
        self._troubles: dict[str, str] = {}
        self._key = KEPT + owner

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
                max_concurrency=CALLS,
                num_cpus=where.cpus,
                num_gpus=where.gpus,
                label_selector=where.labels,
                scheduling_strategy="SPREAD",
            )
            .remote(role, name, self._config, self._folder, max(int(where.cpus), 1))
        )
        now = time.monotonic()
        self._agents[name] = _Known(role, name, where, handle, now, now)

    def stop(self, name: str) -> None:
        """See ``Agents``."""
        if (known := self._agents.pop(name, None)) is None:
            return
        self._troubles.pop(name, None)
        with contextlib.suppress(self._ray.exceptions.RayError):  # its node is gone, or it never started
            self._ray.get(known.handle.stop.remote(), timeout=_STOP_S)
        self._ray.kill(known.handle, no_restart=True)

    def names(self) -> list[str]:
        """See ``Agents``."""
        return sorted(names(self._fleet) - {COORDINATOR})

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
                known.heard_s = now
                self._troubles.pop(known.name, None)
            except self._ray.exceptions.ActorUnavailableError:
                continue  # its node is gone, or it is starting
            except self._ray.exceptions.RayError as error:  # it could not start: Ray leaves it dead
                self._troubles[known.name] = _trouble(error)
                if now - known.started_s > _AGAIN_S:
                    self.start(known.role, known.name, known.where)
        return beats

    def trouble(self, name: str) -> str:
        """See ``Agents``."""
        if trouble := self._troubles.get(name):
            return trouble
        known = self._agents.get(name)
        if known is None or time.monotonic() - known.heard_s < _SLOW_S:
            return ""
        return "" if is_placed(known.handle) else waits_for(known.where, nodes_with_room())

    def keep(self, text: bytes) -> None:
        """See ``Agents``: stored by Ray's head node, without which a fleet can't run."""
        kv()._internal_kv_put(self._key, text, namespace=self._namespace)

    def kept(self) -> bytes | None:
        """See ``Agents``."""
        found: bytes | None = kv()._internal_kv_get(self._key, namespace=self._namespace)
        return found

    def ask(self, name: str, question: Question, is_gone: Callable[[], bool]) -> Answer:
        """See ``Agents``."""
        known = self._agents.get(name)
        if known is None:
            return Answer(0, b"it was released")
        with known.questions:  # a worker handles them one at a time
            return self._ask(known, question, is_gone)

    def _ask(self, known: _Known, question: Question, is_gone: Callable[[], bool]) -> Answer:
        until = time.monotonic() + _ASK_S
        try:
            ref = known.handle.ask.remote(question)
            # Ray reports a node that is cut off only after 10 s or more.
            while not self._ray.wait([ref], timeout=_LOOK_S)[0]:
                if is_gone() or time.monotonic() > until:
                    return Answer(0, b"it does not answer")
            answer: Answer = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            return Answer(0, first_line(error).encode())
        return answer


def _beat(handle: Any) -> Any:
    """Requests a heartbeat in a separate concurrency group: other requests may occupy all other threads."""
    return handle.beat.options(concurrency_group=_BEATS).remote()


def _trouble(error: Exception) -> str:
    """Why an agent does not answer; for an exception in our code, the last line of its traceback."""
    lines = [line.strip() for line in _COLOR.sub("", str(error)).splitlines() if line.strip()]
    if "Traceback" not in str(error) and "creation task" not in str(error):
        return first_line(error)
    host = _HOST.search(str(error))
    where = f" on {host[1]}" if host else ""
    hint = ": does it run the same version of this program?" if _OTHER_VERSION.match(lines[-1]) else ""
    return f"can't start{where} ({lines[-1]}){hint}"
