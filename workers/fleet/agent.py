"""A fleet agent: runs one worker on its machine and reports to the coordinator."""

import os
import shutil
import socket
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from urllib.parse import unquote

import msgspec
import psutil

from pipeline.base.clock import now_ns
from pipeline.base.config import Config, StreamConfig
from pipeline.base.role_names import Role
from pipeline.flow.worker_load import WorkerLoad
from workers.child import Child
from workers.fleet.beat import Beat, Place, WorkerState
from workers.fleet.worker_client import Answer, Question, ask
from workers.roles import SYSTEM

_LOOK_S = 0.05
_ASK_S = 0.2
_ASK_TIMEOUT_S = 5.0
_MOST_LINES = 200
_PREFIX = "kvq-agent-"
_STARTING: WorkerState = "starting"


class Agent:
    """Starts its worker immediately and restarts it whenever it dies or hangs.

    Args:
        role: The worker's role.
        name: The worker's name, unique in the fleet.
        config: Configuration of the pipeline as JSON, since it comes from another machine.
        place: Where this agent runs.
        threads: CPU threads for the network; 0 means one per core.
    """

    def __init__(self, role: Role, name: str, config: bytes, place: Place, threads: int = 0) -> None:
        _remove_left_folders()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        self._place, self._of_all = place, msgspec.json.decode(config, type=Config)
        self._worker_threads = threads
        self._child = Child(name, role, self._note)
        self._endpoints: dict[str, str] = {}
        self._began_ns = 0
        self._config = self._of_all
        self._lines: deque[str] = deque(maxlen=_MOST_LINES)
        self._session, self._state, self._hangs = 0, _STARTING, False
        self._streams: dict[str, int] = {}
        self._streams_ns = 0
        self._entries: dict[str, StreamConfig] | None = None
        self._load: WorkerLoad | None = None
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=body, name=f"agent-{number}", daemon=True)
            for number, body in enumerate((self._keep, self._look, self._listen))
        ]
        for thread in self._threads:
            thread.start()

    def beat(self) -> Beat:
        """The worker's current state; never blocks on the worker."""
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        child, state, sink = self._child, self._state, self._config.sink
        return Beat(
            worker=child.name,
            role=child.role,
            place=self._place,
            state=state if child.alive else ("starting" if not self._session else "down"),
            session=self._session,
            pid=child.pid,
            restarts=child.restarts,
            endpoints=dict(self._endpoints),
            streams=dict(self._streams),
            streams_age_s=(now_ns() - self._streams_ns) / 1e9,
            entries=None if self._entries is None else list(self._entries.values()),
            load=self._load,
            lines=lines,
            page=f"http://{sink.web_host}:{sink.web_port}" if sink.web and child.role == "sink" else "",
        )

    def ask(self, question: Question) -> Answer:
        """Sends a request to the worker: see ``worker_client.ask``."""
        answer = ask(self._socket, question)
        if question.method != "GET" and answer.done:
            self._keep_entry(question)
        return answer

    def stop(self) -> None:
        """Stops the worker gracefully; kills it if that takes too long."""
        self._closing.set()
        self._threads[0].join()
        self._child.ask_to_stop()
        until = time.monotonic() + self._config.run.drain_timeout_s + 3.0
        while self._child.alive and time.monotonic() < until:
            time.sleep(_LOOK_S)
        self._child.kill()
        self._child.join()
        for thread in self._threads[1:]:
            thread.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _socket(self) -> Path:
        return self._folder / "control"

    def _note(self, line: str) -> None:
        self._lines.append(line)

    def _keep_entry(self, question: Question) -> None:
        if self._child.role != "capture":
            return
        self._entries = self._entries or {}
        if question.method == "POST":
            entry = msgspec.convert(question.body, StreamConfig)
            self._entries[entry.id] = entry
        elif question.method == "DELETE":
            self._entries.pop(unquote(question.path.rpartition("/")[2]), None)

    def _start(self) -> None:
        """Starts the worker on newly chosen ports: another process may have taken the previous ones."""
        role, host = self._child.role, self._place.host
        self._endpoints = {
            key: f"tcp://{_in_brackets(host)}:{_free_port(host)}"
            for key in (SYSTEM[role].binds, SYSTEM[role].stats)
            if key is not None
        }
        self._config = _of_worker(
            self._of_all, role, self._child.name, self._endpoints, self._socket, self._worker_threads
        )
        self._began_ns = self._began_ns or now_ns()
        self._child.start(self._config, {"restarts": self._child.restarts, "began_ns": self._began_ns})

    # -- threads -----------------------------------------------------------------------------------

    def _keep(self) -> None:
        """Starts the worker and restarts it with a back-off that grows with consecutive failures."""
        child, run = self._child, self._config.run
        self._start()
        while not self._closing.wait(_LOOK_S):
            report = child.poll()
            if report and report.kind != "ready":
                self._note(f"{child.name}: {report.text}")
            if child.alive:
                if self._hangs or (not child.ready and child.age_s > run.ready_timeout_s):
                    self._note(f"{child.name} hung and was killed")
                    child.kill()
                continue
            if child.restart_at_s is None:
                wait_s = child.wait_after_death(run)
                child.restart_at_s = time.monotonic() + wait_s
                self._note(f"{child.name} {child.cause_of_death}: restarting in {wait_s:g} s")
            elif time.monotonic() >= child.restart_at_s:
                child.join()
                child.restarts += 1
                self._streams, self._load, self._state, self._hangs = {}, None, _STARTING, False
                self._start()

    def _look(self) -> None:
        """Polls the worker's health; its control server answers even while the worker is busy."""
        states: dict[str, WorkerState] = {"ready": "ready", "hung": "down"}
        child, limit_s = self._child, self._config.run.hung_after_s
        heard_s = time.monotonic()
        while not self._closing.wait(_ASK_S):
            if not child.ready:
                heard_s = time.monotonic()
                continue
            told = ask(self._socket, Question("GET", "/healthz"), _ASK_TIMEOUT_S).read()
            if not (child.ready and child.alive):
                continue
            if isinstance(told, dict):
                heard_s = time.monotonic()
                self._session, self._state = told["session"], states.get(told["state"], _STARTING)
                self._hangs = told["state"] == "hung"
            else:  # the whole process does not respond
                self._state = "down"
                self._hangs = 0 < limit_s < time.monotonic() - heard_s

    def _listen(self) -> None:
        while not self._closing.wait(_ASK_S):
            if self._child.ready and self._child.alive and self._child.role != "sink":
                self._hear()

    def _hear(self) -> None:
        """Fetches the worker's streams and load; a busy worker may answer late."""
        asked_ns = now_ns()
        told = ask(self._socket, Question("GET", "/streams"), _ASK_TIMEOUT_S).read()
        if isinstance(told, dict) and "streams" in told:
            self._streams_ns = asked_ns
            self._streams = {
                one["stream_id"]: one.get("generation", 0)
                for one in told["streams"]
                if one.get("state") != "standby"
            }
        if self._child.role == "inference":
            load = ask(self._socket, Question("GET", "/load"), _ASK_TIMEOUT_S)
            if load.done:
                self._load = msgspec.json.decode(load.body, type=WorkerLoad)


def _remove_left_folders() -> None:
    """Deletes the folders of agents that were killed on this machine."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _of_worker(
    config: Config, role: Role, name: str, endpoints: dict[str, str], control: Path, threads: int
) -> Config:
    """The pipeline's configuration for one worker of a fleet; its links are set later."""
    inference = msgspec.structs.replace(
        config.inference, name=name, assigned=True, threads=config.inference.threads or threads
    )
    links: dict[str, list[str]] = {key: [] for key in SYSTEM[role].connects}
    links |= {key: [endpoint] for key, endpoint in endpoints.items()}
    placed = msgspec.structs.replace(config.endpoints, **links)
    listening = msgspec.structs.replace(config.control, listen=f"unix:{control}")
    return msgspec.structs.replace(config, inference=inference, endpoints=placed, control=listening)


def _free_port(host: str) -> int:
    """A port of this machine that is free now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.bind((host, 0))
        return int(trial.getsockname()[1])


def _in_brackets(host: str) -> str:
    return f"[{host}]" if ":" in host else host
