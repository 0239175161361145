"""The coordinator of a fleet: knows which worker owns each stream, and moves streams from worker to worker.

One thread looks at the agents' beats and decides, with ``pipeline.flow.fleet_table``; what takes longer,
such as a move, is done by others, which report back to it. It keeps nothing on disk: started again, it asks
the agents for what their workers own, and the sink for the generations that it has seen.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from pipeline.base.clock import now_ns
from pipeline.base.config import StreamConfig
from pipeline.base.errors import UserError
from pipeline.base.role_names import Role
from pipeline.flow.fleet_table import FleetTable, Move
from pipeline.flow.scaling import Scaler
from workers.fleet.beat import Beat
from workers.fleet.fleet_file import AgentsConfig, Fleet, FleetStream
from workers.fleet.worker_client import Answer, stream_path

_TURN_S = 0.05
_MOST_AT_ONCE = 32
_MOST_NOTES = 200
_FIND_S = 10.0
"""So long a coordinator that starts again waits for agents that it knows of, before it gives their streams away."""
_GENTLE_S = 3.0
"""A camera that is removed ends in order: its end goes through inference to the sink."""


class FleetError(UserError):
    """What was asked of the fleet can't be done; one line."""


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

    def ask(self, name: str, method: str, path: str, body: bytes | dict[str, Any] | None = None) -> Answer:
        """Asks a worker through its agent; code 0 if that can't be done."""


@dataclass
class _Known:
    """A worker as it was heard of last."""

    beat: Beat
    heard_ns: int
    is_up: bool = False
    links: dict[str, list[str]] = field(default_factory=dict)


class Coordinator:
    """Runs from its making until ``close``.

    Args:
        fleet: The file.
        agents: Its agents.
    """

    def __init__(self, fleet: Fleet, agents: Agents) -> None:
        self._fleet, self._agents = fleet, agents
        self._table, self._scaler = FleetTable(fleet.placement), Scaler(fleet.inference.scaling)
        self._streams: dict[str, FleetStream] = {}
        self._workers: dict[str, _Known] = {}
        self._slots: set[str] = set()
        self._leaving: set[str] = set()
        self._drained_nodes: set[str] = set()
        self._busy: dict[tuple[str, ...], Future[Any]] = {}
        self._notes: deque[dict[str, Any]] = deque(maxlen=_MOST_NOTES)
        self._lock = threading.RLock()
        self._pool = ThreadPoolExecutor(_MOST_AT_ONCE, "fleet")
        self._closing = threading.Event()
        self._began_ns = now_ns()
        self._found = set(agents.names())
        self._is_settled = False
        self._slots = {name for name in self._found if name.startswith("inference-")}
        for stream in fleet.streams:
            self._streams[stream.id] = stream
        for name in sorted(self._slots):
            agents.start("inference", name, fleet.inference)
        agents.start("sink", "sink", fleet.sink)
        for name, where in fleet.capture.items():
            agents.start("capture", _capture_name(name), where)
        while len(self._slots) < fleet.inference.scaling.least:
            self._start_inference()
        self._thread = threading.Thread(target=self._run, name="coordinator", daemon=True)
        self._thread.start()

    # -- what people ask ---------------------------------------------------------------------------

    def add(self, stream: FleetStream) -> None:
        """Adds a camera.

        Raises:
            FleetError: There is another one of that name, or its capture agent is not there.
        """
        with self._lock:
            try:
                self._fleet.capture_of(stream)
            except ValueError as error:
                raise FleetError(str(error)) from None
            if self._streams.get(stream.id, stream) != stream:
                raise FleetError(f"there is another stream {stream.id!r}: remove it first")
            self._streams[stream.id] = stream
            self._note("added", stream=stream.id, why=f"source {stream.source}")

    def remove(self, stream_id: str) -> None:
        """Removes a camera, in order: what was captured is still predicted and shown.

        Raises:
            FleetError: There is none of that name.
        """
        with self._lock:
            if self._streams.pop(stream_id, None) is None:
                raise FleetError(f"there is no stream {stream_id!r}")
            self._note("removed", stream=stream_id)

    def drain(self, node: str) -> list[str]:
        """Empties the inference workers of a node, and gives them nothing more.

        Args:
            node: Its id or its beginning, its address, or the name of a worker.

        Returns:
            The workers.

        Raises:
            FleetError: None is there.
        """
        with self._lock:
            names = self._inference_on(node)
            for name in names:
                self._table.drain(name)
            self._note("drain", worker=", ".join(names), why="asked for")
            return names

    def undrain(self, node: str) -> list[str]:
        """Lets the inference workers of a node have streams again; see ``drain``."""
        with self._lock:
            names = self._inference_on(node)
            for name in names:
                self._table.undrain(name)
            self._note("undrain", worker=", ".join(names), why="asked for")
            return names

    def status(self) -> dict[str, Any]:
        """Streams, workers, nodes, and what was done lately, as plain JSON data."""
        with self._lock:
            now, owners = now_ns(), self._table.owners
            moving = {move.stream_id: move for move in self._table.moving}
            return {
                "fleet": self._fleet.name,
                "streams": {
                    name: {
                        "capture": self._reader(stream),
                        "worker": owners[name].worker if name in owners else None,
                        "generation": owners[name].generation if name in owners else None,
                        "since_s": round((now - owners[name].since_ns) / 1e9, 1) if name in owners else None,
                        "why": owners[name].why if name in owners else "it has no worker yet",
                        "moving_to": moving[name].target if name in moving else None,
                    }
                    for name, stream in sorted(self._streams.items())
                },
                "workers": {name: self._about(name, now) for name in sorted(self._wanted_agents())},
                "endpoints": self._endpoints(),
                "notes": list(self._notes),
            }

    def close(self) -> None:
        """Stops all agents: capture first, so that the others show what is under way."""
        self._closing.set()
        self._thread.join()
        self._pool.shutdown()
        for role in ("capture", "inference", "sink"):
            names = [name for name in self._wanted_agents() if _role_of(name) == role]
            with ThreadPoolExecutor(max(len(names), 1)) as pool:
                list(pool.map(self._agents.stop, names))

    def _about(self, name: str, now: int) -> dict[str, Any]:
        known = self._workers.get(name)
        if known is None:
            return {"role": _role_of(name), "state": "waits for a node that has room and the labels for it"}
        beat = known.beat
        state = beat.state if known.is_up or beat.state != "ready" else "not heard"
        if name in self._table.draining:
            state += (
                ", drained"
                if not any(o.worker == name for o in self._table.owners.values())
                else ", draining"
            )
        return {
            "role": beat.role,
            "state": state,
            "node": beat.place.node,
            "host": beat.place.host,
            "pid": beat.pid,
            "restarts": beat.restarts,
            "heard_s": round((now - known.heard_ns) / 1e9, 2),
            "streams": sum(o.worker == name for o in self._table.owners.values())
            if beat.role == "inference"
            else len(beat.streams),
            "busy": round(beat.load.busy, 3) if beat.load else None,
        }

    # -- one turn ----------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing.wait(_TURN_S):
            beats = self._agents.beats()
            with self._lock:
                now = now_ns()
                for beat in beats:
                    self._take(beat, now)
                self._expire(now)
                self._connect()
                self._give_cameras()
                if self._settle(now):
                    self._tend_streams(now)
                    self._scale(now)

    def _take(self, beat: Beat, now: int) -> None:
        for line in beat.lines:
            self._note("said", worker=beat.worker, why=line)
        known = self._workers.setdefault(beat.worker, _Known(beat, now))
        is_another = known.beat.session != beat.session or known.beat.place != beat.place
        if known.is_up and (is_another or beat.state != "ready"):
            self._down(known, "was started anew" if is_another else "died or hangs", now)
        if is_another:
            known.links = {}
        known.beat, known.heard_ns = beat, now
        if beat.state == "ready" and not known.is_up:
            known.is_up = True
            self._note("up", worker=beat.worker, why=f"on {beat.place.host}")
            if beat.worker in self._found and not self._is_settled:
                self._adopt(beat)
            if beat.role == "inference":
                self._table.worker_up(beat.worker, 1.0, beat.streams, now)
        elif known.is_up and beat.role == "inference":
            self._table.worker_up(beat.worker, 1.0, self._as_owned(beat), now)
        if known.is_up and beat.load:
            self._table.measured(beat.worker, beat.load)

    def _as_owned(self, beat: Beat) -> dict[str, int]:
        """What a worker says it owns; a beat may be older than a move that was made since."""
        mine = {
            name: owner.generation
            for name, owner in self._table.owners.items()
            if owner.worker == beat.worker
        }
        return beat.streams | mine

    def _adopt(self, beat: Beat) -> None:
        """What a coordinator before this one has given to a worker: the file may be older than that."""
        if beat.role == "inference":
            for stream_id, generation in beat.streams.items():
                self._table.add_stream(stream_id, last_generation=generation)
        elif beat.role == "capture" and beat.entries:
            mine = [name for name, stream in self._streams.items() if self._reader(stream) == beat.worker]
            for stream_id in mine:
                del self._streams[stream_id]
            name = next(name for name in self._fleet.capture if _capture_name(name) == beat.worker)
            for entry in beat.entries:
                fields = {key: getattr(entry, key) for key in StreamConfig.__struct_fields__}
                self._streams[entry.id] = FleetStream(**fields, capture=name)

    def _expire(self, now: int) -> None:
        lease_ns = self._fleet.lease_s * 1e9
        for known in self._workers.values():
            if known.is_up and now - known.heard_ns > lease_ns:
                self._down(known, f"has not answered for {self._fleet.lease_s:g} s", now)

    def _down(self, known: _Known, why: str, now: int) -> None:
        known.is_up, known.links = False, {}
        self._note("down", worker=known.beat.worker, why=why)
        if known.beat.role == "inference":
            self._table.worker_down(known.beat.worker, now)

    def _connect(self) -> None:
        """Tells workers whose frames and predictions there are."""
        endpoints = self._endpoints()
        for name, known in self._workers.items():
            role = known.beat.role
            if not known.is_up or role == "capture":
                continue
            wanted = {"frames": endpoints["frames"]}
            if role == "sink":
                wanted["predictions"] = endpoints["predictions"]
            if known.links == wanted or not all(wanted.values()):
                continue

            def connected(
                answer: Answer, known: _Known = known, wanted: dict[str, list[str]] = wanted
            ) -> None:
                if answer.done:
                    known.links = wanted

            self._begin(("links", name), connected, self._agents.ask, name, "PUT", "/links", wanted)

    def _endpoints(self) -> dict[str, list[str]]:
        """Of all workers that were heard, by key of ``[endpoints]``; also of one that is down: it comes back."""
        found: dict[str, list[str]] = {
            key: [] for key in ("frames", "predictions", "capture_stats", "inference_stats", "sink_stats")
        }
        for name in sorted(self._workers):
            for key, endpoint in self._workers[name].beat.endpoints.items():
                found[key].append(endpoint)
        return found

    def _give_cameras(self) -> None:
        """Capture agents read what they are to read, and nothing else."""
        for name, known in self._workers.items():
            if known.beat.role != "capture" or not known.is_up:
                continue
            wanted = {
                stream_id: stream
                for stream_id, stream in self._streams.items()
                if self._reader(stream) == name
            }
            for stream_id in wanted.keys() - known.beat.streams.keys():
                entry = {key: getattr(wanted[stream_id], key) for key in StreamConfig.__struct_fields__}
                self._begin(
                    ("camera", stream_id), self._told(name), self._agents.ask, name, "POST", "/streams", entry
                )
            for stream_id in known.beat.streams.keys() - wanted.keys():
                if stream_id not in self._streams:
                    path = stream_path(stream_id)
                    self._begin(
                        ("camera", stream_id), self._told(name), self._agents.ask, name, "DELETE", path
                    )

    def _reader(self, stream: FleetStream) -> str:
        return _capture_name(self._fleet.capture_of(stream))

    def _told(self, name: str) -> Callable[[Answer], None]:
        def note(answer: Answer) -> None:
            if not answer.done:
                self._note("refused", worker=name, why=answer.trouble())

        return note

    def _settle(self, now: int) -> bool:
        """Whether streams may be placed: all workers that were there before have been heard, or had time to."""
        if self._is_settled:
            return True
        up = {name for name, known in self._workers.items() if known.is_up}
        if not up & self._slots or (self._slots - up and now - self._began_ns < _FIND_S * 1e9):
            return False  # the first worker that answers would be given everything
        missing = self._found - self._workers.keys()
        sink = self._workers.get("sink")
        if (missing or not (sink and sink.is_up)) and now - self._began_ns < _FIND_S * 1e9 and self._found:
            return False
        if sink and sink.is_up:
            told = self._agents.ask("sink", "GET", "/streams").read()
            for one in told["streams"] if isinstance(told, dict) and "streams" in told else ():
                if one["stream_id"] in self._streams:
                    self._table.add_stream(one["stream_id"], last_generation=one["generation"])
        elif self._found:
            return False
        self._is_settled = True
        return True

    def _tend_streams(self, now: int) -> None:
        for stream_id in self._streams:
            self._table.add_stream(stream_id)
        for stream_id in self._table.owners.keys() - self._streams.keys():
            removed = self._table.remove_stream(stream_id)
            if removed:
                path = stream_path(stream_id, removed.generation)
                self._begin(("owner", stream_id), lambda _: None, self._leave_later, removed.worker, path)
        for worker, stream_id, generation in self._table.stale:
            path = stream_path(stream_id, generation)

            def left(answer: Answer, worker: str = worker, stream_id: str = stream_id) -> None:
                if answer.code:
                    self._table.released(worker, stream_id)

            self._begin(("stale", worker, stream_id), left, self._agents.ask, worker, "DELETE", path)
        for move in self._table.plan(now):
            owner = self._table.owners.get(move.stream_id)
            since = now_ns()

            def moved(result: "_Moved", move: Move = move, since: int = since) -> None:
                self._finish(move, result, since)

            generation = owner.generation if owner else None
            self._begin(("move", move.stream_id, str(move.generation)), moved, self._move, move, generation)

    def _leave_later(self, worker: str, path: str) -> Answer:
        self._closing.wait(_GENTLE_S)
        return self._agents.ask(worker, "DELETE", path)

    def _scale(self, now: int) -> None:
        up = [
            known.beat for known in self._workers.values() if known.is_up and known.beat.role == "inference"
        ]
        loads = [beat.load for beat in up if beat.load and beat.worker not in self._table.draining]
        present = len(self._slots - self._table.draining)
        wanted = self._scaler.wanted(loads, present, now)
        if wanted.workers > present:
            name = self._start_inference()
            self._note("more", worker=name, why=wanted.why)
        elif wanted.workers < present:
            rest = sorted(self._slots - self._table.draining, key=lambda name: (self._carried(name), name))
            self._table.drain(rest[0])
            self._leaving.add(rest[0])
            self._note("fewer", worker=rest[0], why=wanted.why)
        for name in [name for name in self._leaving if not self._carried(name)]:
            if not any(name in (move.source, move.target) for move in self._table.moving):
                self._leaving.discard(name)
                self._slots.discard(name)
                if known := self._workers.pop(name, None):
                    self._down(known, "is given back", now)
                self._table.undrain(name)
                self._begin(("stop", name), lambda _: None, self._agents.stop, name)

    def _carried(self, name: str) -> int:
        return sum(owner.worker == name for owner in self._table.owners.values())

    def _start_inference(self) -> str:
        number = next(n for n in range(1, 10_000) if f"inference-{n}" not in self._slots)
        name = f"inference-{number}"
        self._slots.add(name)
        self._agents.start("inference", name, self._fleet.inference)
        return name

    # -- what takes longer -------------------------------------------------------------------------

    def _begin(
        self, key: tuple[str, ...], then: Callable[[Any], None], work: Callable[..., Any], *args: Any
    ) -> None:
        """Does something in another thread, once at a time by key; ``then`` is called with its result."""
        if key in self._busy or self._closing.is_set():
            return

        def do() -> None:
            try:
                result = work(*args)
            except Exception as error:  # of Ray: the agent is gone
                result = Answer(0, f"{type(error).__name__}: {error}".encode())
            with self._lock:
                del self._busy[key]
                then(result)

        self._busy[key] = self._pool.submit(do)

    def _move(self, move: Move, generation: int | None) -> "_Moved":
        """Makes a move; see the verbs of an inference worker."""
        wanted: dict[str, Any] = {"stream_id": move.stream_id, "generation": move.generation}
        to = stream_path(move.stream_id, move.generation)
        if move.source is None or generation is None:
            answer = self._agents.ask(
                move.target, "POST", "/streams", {**wanted, "state": "owned", "replay": True}
            )
            return _Moved("" if answer.done else answer.trouble())
        answer = self._agents.ask(move.target, "POST", "/streams", {**wanted, "state": "standby"})
        if not answer.done:
            return _Moved(f"{move.target}: {answer.trouble()}", kept=True)
        handed = self._agents.ask(move.source, "DELETE", stream_path(move.stream_id, generation))
        if not handed.done:
            self._agents.ask(move.target, "DELETE", to)
            kept = handed.code not in (0, 404)
            return _Moved(f"{move.source}: {handed.trouble()}", kept=kept)
        taken = self._agents.ask(move.target, "PUT", to, handed.body)
        if not taken.done:
            return _Moved(f"{move.target}: {taken.trouble()}")
        return _Moved("", memory=(taken.read() or {}).get("memory", ""))

    def _finish(self, move: Move, result: "_Moved | Answer", since: int) -> None:
        moved = result if isinstance(result, _Moved) else _Moved(result.trouble())
        now = now_ns()
        if moved.trouble:
            self._table.failed(move, moved.trouble, now, kept=moved.kept)
        else:
            self._table.done(move, now)
        self._note(
            "not moved" if moved.trouble else "moved",
            stream=move.stream_id,
            source=move.source,
            worker=move.target,
            generation=move.generation,
            why=moved.trouble or move.why,
            took_ms=round((now - since) / 1e6, 1),
            memory=moved.memory,
        )

    def _inference_on(self, node: str) -> list[str]:
        found = [
            name
            for name, known in self._workers.items()
            if known.beat.role == "inference"
            and (node in (name, known.beat.place.host) or (node and known.beat.place.node.startswith(node)))
        ]
        if not found:
            raise FleetError(f"no inference worker is on {node!r}: see fleet status")
        return sorted(found)

    def _wanted_agents(self) -> Sequence[str]:
        return ["sink", *(_capture_name(name) for name in self._fleet.capture), *sorted(self._slots)]

    def _note(self, what: str, **about: Any) -> None:
        self._notes.append({"time_ns": now_ns(), "what": what, **{k: v for k, v in about.items() if v != ""}})


class _Moved(msgspec.Struct, frozen=True):
    """How a move went: the trouble that it met, if any, and what became of the memory."""

    trouble: str
    kept: bool = False
    memory: str = ""


def _capture_name(name: str) -> str:
    return name if name == "capture" else f"capture-{name}"


def _role_of(name: str) -> Role:
    roles: Mapping[str, Role] = {"sink": "sink", "capture": "capture", "inference": "inference"}
    return roles[name.partition("-")[0]]
