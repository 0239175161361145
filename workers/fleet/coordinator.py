"""The coordinator of a fleet: tracks the owner of each stream and moves streams.

One thread processes the agents' beats at regular intervals; slow operations, such as moves, run in other
threads (``errands``). State that a restarted coordinator needs is stored (``notebook``) before it takes
effect; the agents report the rest.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from pipeline.base.clock import now_ns
from pipeline.flow.scaling import Scaler
from workers.fleet.agents_protocol import SINK, STOP_ORDER, Agents, capture_name, role_of
from workers.fleet.beat import Beat
from workers.fleet.camera_list import FleetError
from workers.fleet.errands import Errands
from workers.fleet.fleet_file import Fleet, FleetStream
from workers.fleet.fleet_notes import Notes
from workers.fleet.inference_slots import InferenceSlots
from workers.fleet.notebook import Notebook
from workers.fleet.probe import refuses
from workers.fleet.questions import Questions
from workers.fleet.roster import Roster
from workers.fleet.stream_owners import StreamOwners
from workers.fleet.worker_client import Answer, Question

_TURN_S = 0.05
_PAUSE_S = 1.0
_BEGIN_S = 10.0
_MISSED_BEATS = 2
"""A worker that misses this many beats is probed; a slow one may miss a single beat."""
_STARTS = "the coordinator is starting: restoring its stored state"


class Coordinator:
    """Runs a fleet, from construction until ``close``.

    Args:
        fleet: The fleet's configuration.
        agents: The fleet's agents.
    """

    def __init__(self, fleet: Fleet, agents: Agents) -> None:
        self._fleet, self._agents = fleet, agents
        self._scaler = Scaler(fleet.inference.scaling)
        self._roster, self._notes = Roster(fleet.lease_s), Notes()
        self._lock = threading.RLock()
        self._errands = Errands(self._lock)
        self._questions = Questions(agents, self._roster, self._errands, self._notes)
        self._slots = InferenceSlots(agents, fleet.inference)
        self._notebook = Notebook(fleet, agents)
        self._owners = StreamOwners(
            fleet.placement,
            self._slots,
            self._roster,
            self._notebook,
            self._questions,
            self._errands,
            self._notes,
        )
        self._has_begun, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="coordinator", daemon=True)
        self._thread.start()

    # -- commands ----------------------------------------------------------------------------------

    def add(self, stream: FleetStream) -> None:
        """Adds a camera.

        Raises:
            FleetError: Another camera has that name, its capture agent does not exist, or storing it failed.
        """
        self._wait_until_begun()
        with self._lock:
            with self._notebook.changing():
                self._notebook.cameras.add(stream)
            self._notes.add("added", stream=stream.id)

    def remove(self, stream_id: str) -> None:
        """Removes a camera; frames that were already captured are still predicted and shown.

        Raises:
            FleetError: No camera has that name, or storing the change failed.
        """
        self._wait_until_begun()
        with self._lock:
            with self._notebook.changing():
                self._notebook.cameras.remove(stream_id)
            self._notes.add("removed", stream=stream_id)

    def drain(self, node: str) -> list[str]:
        """Moves all streams off the inference workers of a node and places no new ones there.

        Args:
            node: The node's id or a prefix of it, its address, or the name of one worker.

        Returns:
            Names of the workers.

        Raises:
            FleetError: The node has no inference worker, or storing the change failed.
        """
        self._wait_until_begun()
        with self._lock:
            with self._notebook.changing():
                names = self._notebook.drained.add(node, self._roster)
            if not names:
                raise FleetError(f"no inference worker runs on {node!r}: see fleet status")
            self._notes.add("drain", worker=", ".join(names))
            return names

    def undrain(self, node: str) -> list[str]:
        """Allows streams on the inference workers of a drained node again; see ``drain``.

        Raises:
            FleetError: The node was not drained, or storing the change failed.
        """
        self._wait_until_begun()
        with self._lock:
            with self._notebook.changing():
                if not self._notebook.drained.remove(node, self._roster):
                    raise FleetError(f"{node!r} is not drained: see fleet status")
            names = self._roster.on_node(node, "inference")
            self._notes.add("undrain", worker=", ".join(names))
            return names

    def status(self) -> dict[str, Any]:
        """Streams, workers, their endpoints and recent actions, as plain JSON data."""
        with self._lock:
            wanted = self._wanted_agents()
        troubles = {name: self._agents.trouble(name) for name in wanted}  # slow: outside the lock
        with self._lock:
            now, table = now_ns(), self._owners.table
            moving = {move.stream_id: move.target for move in table.moving}
            return {
                "fleet": self._fleet.name,
                "waits": self._owners.waits_for(now) if self._has_begun.is_set() else _STARTS,
                "streams": self._notebook.cameras.about(table.owners, moving, now),
                "workers": {
                    name: self._about(name, troubles.get(name, ""), now) for name in self._wanted_agents()
                },
                "endpoints": self._roster.endpoints(),
                "notes": self._notes.newest,
            }

    def close(self) -> None:
        """Stops all agents, capture first, so that frames in flight are still predicted and shown."""
        self._closing.set()
        self._thread.join()
        self._errands.close()
        for role in STOP_ORDER:
            names = [name for name in self._wanted_agents() if role_of(name) == role]
            with ThreadPoolExecutor(max(len(names), 1)) as pool:
                list(pool.map(self._agents.stop, names))

    def _wait_until_begun(self) -> None:
        if not self._has_begun.wait(_BEGIN_S):
            raise FleetError("the coordinator is still starting: try again, or see fleet status")

    def _about(self, name: str, trouble: str, now: int) -> dict[str, Any]:
        """The status of a worker; its streams come from the table, which is newer than the last beat."""
        told = {"role": role_of(name), **self._roster.about(name, now)}
        if trouble:
            told["why"] = trouble
        if name in self._slots.names:
            carried, draining = self._owners.carried(name), name in self._owners.table.draining
            told |= {"streams": carried, "drain": ("draining" if carried else "drained") if draining else ""}
        return told

    # -- one turn ----------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing.wait(_TURN_S):
            try:
                if not self._has_begun.is_set():
                    self._begin()
                beats = self._agents.beats()
                with self._lock:
                    self._turn(beats, now_ns())
            except Exception as error:  # keep running: the next turn may succeed
                self._notes.add("failed", why=f"{type(error).__name__}: {error}")
                self._closing.wait(_PAUSE_S)

    def _begin(self) -> None:
        """Starts the agents; those started by an earlier coordinator keep running."""
        kept, found = self._notebook.read(), set(self._agents.names())
        self._agents.start("sink", SINK, self._fleet.sink)
        for name, where in self._fleet.capture.items():
            self._agents.start("capture", capture_name(name), where)
        self._slots.begin(found)
        self._owners.begin(kept, is_new=not found)
        self._has_begun.set()

    def _turn(self, beats: list[Beat], now: int) -> None:
        wanted = set(self._wanted_agents())
        for beat in beats:
            if beat.worker in wanted:  # ignore released agents
                self._take(beat, now)
        for name, lease_s in self._roster.expired(now).items():
            self._goes_down(name, f"no answer for {lease_s:.2g} s", now)
        self._probe_silent(now)
        self._connect()
        self._give_cameras()
        if self._owners.is_settled(now):
            self._owners.tend(now)
            self._scale(now)

    def _take(self, beat: Beat, now: int) -> None:
        name = beat.worker
        for line in beat.lines:
            self._notes.add("said", worker=name, why=line.removeprefix(f"{name}: "))
        if went := self._roster.take(beat, now):
            self._goes_down(name, went, now)
        if came_up := self._roster.comes_up(name):
            self._notes.add("up", worker=name, why=f"on {beat.place.host}")
        if beat.role == "inference":
            self._owners.heard(beat, now, came_up=came_up)

    def _goes_down(self, name: str, why: str, now: int) -> None:
        self._notes.add("down", worker=name, why=why)
        if name in self._slots.names:
            self._owners.table.worker_down(name, now)

    def _probe_silent(self, now: int) -> None:
        """Probes workers that have missed beats: a dead one is taken down before its lease expires."""
        for known in self._roster.silent(now, _MISSED_BEATS * self._fleet.beat_s):
            name, endpoints = known.beat.worker, list(known.beat.endpoints.values())

            def probed(is_dead: bool, name: str = name, heard_ns: int = known.heard_ns) -> None:
                if is_dead and self._roster.lose(name, heard_ns):
                    self._goes_down(name, "its port refuses connections", now_ns())

            self._errands.begin(("probe", name), partial(refuses, endpoints), probed)

    def _connect(self) -> None:
        """Sends workers the endpoints to which they have to connect."""
        for name, links in self._roster.to_connect():

            def connected(answer: Answer, name: str = name, links: dict[str, list[str]] = links) -> None:
                if answer.done:
                    self._roster.connected(name, links)

            self._questions.ask(("links", name), connected, name, Question("PUT", "/links", links))

    def _give_cameras(self) -> None:
        """Makes capture agents read exactly the cameras assigned to them."""
        for known in self._roster.up("capture"):
            name = known.beat.worker
            for stream_id, question in self._notebook.cameras.questions(known.beat):
                self._questions.ask(("camera", stream_id), _nothing, name, question)

    def _scale(self, now: int) -> None:
        """Requests more inference workers, or drains and then stops some."""
        table, carried = self._owners.table, self._owners.carried
        staying = self._slots.names - self._slots.leaving
        used = staying - table.draining
        loads = [one.beat.load for one in self._roster.up("inference") if one.beat.worker in used]
        missing = sum(self._roster.is_missing(name) for name in staying)
        wanted = self._scaler.wanted([load for load in loads if load], len(staying), now, missing=missing)
        for _ in range(wanted.workers - len(staying)):
            self._notes.add("more", worker=self._slots.start_one(), why=wanted.why)
        least_first = sorted(staying, key=lambda name: (carried(name), name))
        for name in least_first[: max(len(staying) - wanted.workers, 0)]:
            table.drain(name)
            self._slots.leaving.add(name)
            self._notes.add("fewer", worker=name, why=wanted.why)
        targets = {move.target for move in table.moving}
        for name in [one for one in self._slots.leaving if not carried(one) and one not in targets]:
            table.worker_down(name, now)
            table.undrain(name)
            self._roster.forget(name)
            self._slots.forget(name)
            self._errands.begin(("stop", name), partial(self._agents.stop, name), lambda _: None)

    def _wanted_agents(self) -> list[str]:
        return [SINK, *(capture_name(name) for name in self._fleet.capture), *sorted(self._slots.names)]


def _nothing(_: Answer) -> None:
    """Ignores the answer: the next beat shows the result."""
