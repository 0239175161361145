"""The coordinator of a fleet: knows which worker owns each stream, and moves streams from worker to worker.

One thread looks at the agents' beats and decides, with ``pipeline.flow.fleet_table``; what takes longer,
such as a move, is an errand. It keeps nothing on disk: started again, it asks the agents for what their
workers own, and the sink for the generations that it has seen.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from pipeline.base.clock import now_ns
from pipeline.flow.fleet_table import FleetTable, Move
from pipeline.flow.scaling import Scaler
from workers.fleet.agents_protocol import SINK, STOP_ORDER, Agents, capture_name, role_of
from workers.fleet.beat import Beat
from workers.fleet.camera_list import Cameras, FleetError
from workers.fleet.drained import Drained
from workers.fleet.errands import Errands
from workers.fleet.fleet_file import Fleet, FleetStream
from workers.fleet.inference_slots import InferenceSlots
from workers.fleet.pauses import Pauses
from workers.fleet.probe import refuses
from workers.fleet.roster import Roster
from workers.fleet.stream_move import Moved, make_move
from workers.fleet.worker_client import Answer, Question, stream_path

_TURN_S = 0.05
_PAUSE_S = 1.0
_MOST_NOTES = 200
_FIND_NS = 3_000_000_000
"""One that starts again waits so long for agents that it knows of, before it gives their streams away."""
_GATHER_NS = 10_000_000_000
"""The first worker of a new fleet waits so long for the others: it would be given everything."""
_GENTLE_NS = 3_000_000_000
"""The end of a camera that is removed goes through inference to the sink before inference leaves it."""
_MEASURE_NS = 5_000_000_000
_LATELY_NS = 2_000_000_000
_NOT_FOUND = 404
_MISSED_BEATS = 2
"""Then a worker is probed: one that is only slow answers late now and then."""


class Coordinator:
    """Runs from its making until ``close``.

    Args:
        fleet: The file.
        agents: Its agents.
    """

    def __init__(self, fleet: Fleet, agents: Agents) -> None:
        self._fleet, self._agents = fleet, agents
        self._table, self._scaler = FleetTable(fleet.placement), Scaler(fleet.inference.scaling)
        self._roster = Roster(fleet.lease_s)
        self._cameras = Cameras(fleet)
        self._notes: deque[dict[str, Any]] = deque(maxlen=_MOST_NOTES)
        self._lock = threading.RLock()
        self._errands = Errands(self._lock)
        self._closing = threading.Event()
        self._slots = InferenceSlots(agents, fleet.inference)
        self._drained = Drained()
        self._pauses = Pauses()
        self._found: set[str] | None = None
        self._adopted: set[str] = set()
        self._measured_ns: dict[str, int] = {}
        self._leave_ns: dict[str, int] = {}
        self._first_up_ns: int | None = None
        self._is_settled = False
        self._thread = threading.Thread(target=self._run, name="coordinator", daemon=True)
        self._thread.start()

    # -- what people ask ---------------------------------------------------------------------------

    def add(self, stream: FleetStream) -> None:
        """Adds a camera.

        Raises:
            FleetError: There is another one of that name, or its capture agent is not there.
        """
        with self._lock:
            self._cameras.add(stream)
            self._note("added", stream=stream.id)

    def remove(self, stream_id: str) -> None:
        """Removes a camera, in order: what was captured is still predicted and shown.

        Raises:
            FleetError: There is none of that name.
        """
        with self._lock:
            self._cameras.remove(stream_id)
            self._note("removed", stream=stream_id)

    def drain(self, node: str) -> list[str]:
        """Empties the inference workers of a node, and gives them nothing more.

        Args:
            node: Its id or the beginning of that, its address, or the name of one worker.

        Returns:
            The workers.

        Raises:
            FleetError: None is there.
        """
        with self._lock:
            names = self._drained.add(node, self._roster)
            if not names:
                raise FleetError(f"no inference worker is on {node!r}: see fleet status")
            self._note("drain", worker=", ".join(names))
            return names

    def undrain(self, node: str) -> list[str]:
        """Lets the inference workers of a node have streams again; see ``drain``.

        Raises:
            FleetError: It was not drained.
        """
        with self._lock:
            if not self._drained.remove(node, self._roster):
                raise FleetError(f"{node!r} was not drained: see fleet status")
            names = self._roster.on_node(node, "inference")
            self._note("undrain", worker=", ".join(names))
            return names

    def status(self) -> dict[str, Any]:
        """Streams, workers, their endpoints, and what was done lately, as plain JSON data."""
        with self._lock:
            now, moving = now_ns(), {move.stream_id: move.target for move in self._table.moving}
            return {
                "fleet": self._fleet.name,
                "streams": self._cameras.about(self._table.owners, moving, now),
                "workers": {
                    name: {"role": role_of(name), **self._roster.about(name, now), **self._about_load(name)}
                    for name in self._wanted_agents()
                },
                "endpoints": self._roster.endpoints(),
                "notes": list(self._notes),
            }

    def close(self) -> None:
        """Stops all agents: capture first, so that the others show what is under way."""
        self._closing.set()
        self._thread.join()
        self._errands.close()
        for role in STOP_ORDER:
            names = [name for name in self._wanted_agents() if role_of(name) == role]
            with ThreadPoolExecutor(max(len(names), 1)) as pool:
                list(pool.map(self._agents.stop, names))

    def _about_load(self, name: str) -> dict[str, Any]:
        """What the table knows better than the worker's last beat."""
        if name not in self._slots.names:
            return {}
        carried = self._carried(name)
        drained = "" if name not in self._table.draining else "draining" if carried else "drained"
        return {"streams": carried, "drain": drained}

    # -- one turn ----------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing.wait(_TURN_S):
            try:
                beats = self._agents.beats()
                with self._lock:
                    self._turn(beats, now_ns())
            except Exception as error:  # the fleet needs somebody: the next turn may be better
                self._note("failed", why=f"{type(error).__name__}: {error}")
                self._closing.wait(_PAUSE_S)

    def _begin(self) -> None:
        """Starts the agents; those that a coordinator before this one has started go on."""
        found = set(self._agents.names())
        self._agents.start("sink", SINK, self._fleet.sink)
        for name, where in self._fleet.capture.items():
            self._agents.start("capture", capture_name(name), where)
        self._slots.begin(found)
        self._found = found

    def _turn(self, beats: list[Beat], now: int) -> None:
        if self._found is None:
            self._begin()
        wanted = set(self._wanted_agents())
        for beat in beats:
            if beat.worker in wanted:  # not of one that was given back
                self._take(beat, now)
        for name in self._roster.expired(now):
            self._goes_down(name, f"it has not answered for {self._fleet.lease_s:g} s", now)
        self._probe_silent(now)
        self._connect()
        self._give_cameras()
        if self._settle(now):
            self._tend_streams(now)
            self._scale(now)

    def _take(self, beat: Beat, now: int) -> None:
        name = beat.worker
        for line in beat.lines:
            self._note("said", worker=name, why=line.removeprefix(f"{name}: "))
        if went := self._roster.take(beat, now):
            self._goes_down(name, went, now)
        if self._roster.comes_up(name):
            self._note("up", worker=name, why=f"on {beat.place.host}")
            if name in (self._found or ()) and name not in self._adopted:
                self._adopt(beat)
            if beat.role == "inference":
                self._first_up_ns = self._first_up_ns or now
                self._table.worker_up(name, 1.0, beat.streams, now)
        elif beat.role == "inference" and beat.state == "ready":
            self._table.worker_up(name, 1.0, beat.streams | self._given_lately(beat, now), now)
        if beat.role == "inference":
            drained = self._drained.has(beat) or name in self._slots.leaving
            (self._table.drain if drained else self._table.undrain)(name)
        if beat.load and beat.state == "ready" and now - self._measured_ns.get(name, 0) >= _MEASURE_NS:
            self._measured_ns[name] = now
            self._table.measured(name, beat.load)

    def _given_lately(self, beat: Beat, now: int) -> dict[str, int]:
        """What a worker was given since it was asked for its streams, or just before that."""
        since_ns = now - round(beat.streams_age_s * 1e9) - _LATELY_NS
        return {
            name: owner.generation
            for name, owner in self._table.owners.items()
            if owner.worker == beat.worker and owner.since_ns >= since_ns
        }

    def _adopt(self, beat: Beat) -> None:
        """What a coordinator before this one has given to a worker: the file may be older than that."""
        self._adopted.add(beat.worker)
        if beat.role == "inference":
            for stream_id, generation in beat.streams.items():
                self._table.add_stream(stream_id, last_generation=generation)
        elif beat.role == "capture" and beat.entries is not None:
            self._cameras.adopt(beat)

    def _goes_down(self, name: str, why: str, now: int) -> None:
        self._note("down", worker=name, why=why)
        if name in self._slots.names:
            self._table.worker_down(name, now)

    def _probe_silent(self, now: int) -> None:
        """Looks whether workers that have missed beats are dead: then their lease need not end."""
        for known in self._roster.silent(now, _MISSED_BEATS * self._fleet.beat_s):
            name, endpoints = known.beat.worker, list(known.beat.endpoints.values())

            def probed(is_dead: bool, name: str = name, heard_ns: int = known.heard_ns) -> None:
                if is_dead and self._roster.lose(name, heard_ns):
                    self._goes_down(name, "nobody listens at its port any more", now_ns())

            self._errands.begin(("probe", name), partial(refuses, endpoints), probed)

    def _connect(self) -> None:
        """Tells workers whose frames and predictions there are."""
        for name, links in self._roster.to_connect():

            def connected(answer: Answer, name: str = name, links: dict[str, list[str]] = links) -> None:
                if answer.done:
                    self._roster.connected(name, links)

            self._ask(("links", name), connected, name, Question("PUT", "/links", links))

    def _give_cameras(self) -> None:
        """Capture agents read what they are to read, and nothing else."""
        for known in self._roster.up("capture"):
            name = known.beat.worker
            for stream_id, question in self._cameras.questions(known.beat):
                self._ask(("camera", stream_id), _nothing, name, question)

    def _settle(self, now: int) -> bool:
        """Whether streams may be placed: workers that are to be there were heard, or had time to."""
        if self._is_settled:
            return True
        up = {known.beat.worker for known in self._roster.up()}
        if self._first_up_ns is None or SINK not in up:
            return False
        waited_ns = now - self._first_up_ns
        if self._found and not self._found & set(self._wanted_agents()) <= up and waited_ns < _FIND_NS:
            return False
        if not self._found and not self._slots.names <= up and waited_ns < _GATHER_NS:
            return False
        self._ask(("generations",), self._begin_placing, SINK, Question("GET", "/streams"))
        return False

    def _begin_placing(self, answer: Answer) -> None:
        """Begins to place streams, each above the generation that its reader has seen."""
        if not answer.done:
            return
        for one in answer.read()["streams"]:
            known = one["stream_id"] in self._cameras
            note = self._table.add_stream if known else self._table.note_generation
            note(one["stream_id"], last_generation=one["generation"])
        self._is_settled = True

    def _tend_streams(self, now: int) -> None:
        for stream_id in self._cameras:
            self._table.add_stream(stream_id)
        self._leave_removed(now)
        for worker, stream_id, generation in self._table.stale:

            def left(answer: Answer, worker: str = worker, stream_id: str = stream_id) -> None:
                if answer.code:
                    self._table.released(worker, stream_id)

            question = Question("DELETE", stream_path(stream_id, generation))
            self._ask(("stale", worker, stream_id), left, worker, question)
        if self._pauses.holds(("moves",), now):
            return
        owners = self._table.owners
        for move in self._table.plan(now):
            present = owners[move.stream_id].generation if move.stream_id in owners else None
            make = partial(make_move, self._ask_now, move, present)
            finish = partial(self._finish, move, now)
            self._errands.begin(("move", move.stream_id, str(move.generation)), make, finish)

    def _leave_removed(self, now: int) -> None:
        """Takes removed streams off the table; their owners are then told to leave them."""
        read = {name for known in self._roster.up("capture") for name in known.beat.streams}
        gone = self._table.owners.keys() - set(self._cameras) - read
        self._leave_ns = {name: self._leave_ns.get(name, now + _GENTLE_NS) for name in gone}
        for stream_id in [name for name, due_ns in self._leave_ns.items() if now >= due_ns]:
            self._table.remove_stream(stream_id)

    def _finish(self, move: Move, began_ns: int, moved: Moved) -> None:
        now = now_ns()
        if moved.trouble:
            self._table.failed(move, moved.trouble, now, kept=moved.kept)
            if all(self._roster.is_up(name) for name in (move.source, move.target) if name):
                self._pauses.begin(("moves",), now, longest_s=1.0)  # streams of a dead worker do not wait
        else:
            self._pauses.end(("moves",))
            self._table.done(move, now)
        self._note(
            "not moved" if moved.trouble else "moved",
            stream=move.stream_id,
            source=move.source or "",
            worker=move.target,
            generation=move.generation,
            took_ms=round((now - began_ns) / 1e6, 1),
            memory=moved.memory,
            why=moved.trouble or move.why,
        )

    def _scale(self, now: int) -> None:
        """Asks for inference workers, or gives some back: emptied first, then ended."""
        staying = self._slots.names - self._slots.leaving
        used = staying - self._table.draining
        loads = [one.beat.load for one in self._roster.up("inference") if one.beat.worker in used]
        wanted = self._scaler.wanted([load for load in loads if load], len(staying), now)
        for _ in range(wanted.workers - len(staying)):
            self._note("more", worker=self._slots.start_one(), why=wanted.why)
        least_first = sorted(staying, key=lambda name: (self._carried(name), name))
        for name in least_first[: max(len(staying) - wanted.workers, 0)]:
            self._table.drain(name)
            self._slots.leaving.add(name)
            self._note("fewer", worker=name, why=wanted.why)
        targets = {move.target for move in self._table.moving}
        for name in [one for one in self._slots.leaving if not self._carried(one) and one not in targets]:
            self._table.worker_down(name, now)
            self._table.undrain(name)
            self._roster.forget(name)
            self._slots.forget(name)
            self._errands.begin(("stop", name), partial(self._agents.stop, name), lambda _: None)

    def _carried(self, worker: str) -> int:
        return sum(owner.worker == worker for owner in self._table.owners.values())

    def _ask(
        self, key: tuple[str, ...], then: Callable[[Answer], None], name: str, question: Question
    ) -> None:
        """Asks in another thread; not again so soon if it was refused."""
        if self._pauses.holds(key, now_ns()):
            return

        def answered(answer: Answer) -> None:
            if answer.done or answer.code == _NOT_FOUND:
                self._pauses.end(key)
            elif self._pauses.begin(key, now_ns()):
                self._note("refused", worker=name, stream=question.stream, why=answer.trouble())
            then(answer)

        self._errands.begin(key, partial(self._ask_now, name, question), answered)

    def _ask_now(self, name: str, question: Question) -> Answer:
        try:
            return self._agents.ask(name, question, lambda: not self._roster.is_up(name))
        except Exception as error:  # a move must be reported, or its stream has no owner for good
            return Answer(0, f"{type(error).__name__}: {error}".encode())

    def _wanted_agents(self) -> list[str]:
        return [SINK, *(capture_name(name) for name in self._fleet.capture), *sorted(self._slots.names)]

    def _note(self, what: str, **about: Any) -> None:
        told = {key: value for key, value in about.items() if value not in ("", None)}
        self._notes.append({"time_ns": now_ns(), "what": what, **told})


def _nothing(_: Answer) -> None:
    """The next beat shows what became of it."""
