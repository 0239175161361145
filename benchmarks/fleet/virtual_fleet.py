"""Cameras, workers and a coordinator as discrete events in virtual time."""

import heapq
import random
from collections.abc import Callable, Mapping
from itertools import count

from benchmarks.fleet.fleet_metrics import Findings, Sample
from benchmarks.fleet.fleet_rivals import Decider
from benchmarks.fleet.virtual_worker import Costs, Machine
from pipeline.flow.fleet_table import Move
from pipeline.flow.worker_load import WorkerLoad

_S = 1_000_000_000


class VirtualFleet:
    """A simulated fleet with its clock.

    Attributes:
        now_s: Current time.
        machines: Running machines by name.
        demands: Cost of each camera, relative to a worker of capacity 1.
        findings: Counts since ``measure``.
        rng: The only random generator.
    """

    def __init__(self, decider: Callable[[], Decider], seed: int, costs: Costs) -> None:
        self.now_s = 0.0
        self.machines: dict[str, Machine] = {}
        self.demands: dict[str, float] = {}
        self.findings = Findings()
        self.rng = random.Random(seed)
        self.costs = costs
        self._new_decider = decider
        self.coordinator: Decider | None = decider()
        self._known: set[str] = set()
        self._answers: dict[str, tuple[str, int]] = {}
        self._dark: dict[str, tuple[float, str]] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._moves = 0
        self._measuring_from_s: float | None = None

    # -- time ------------------------------------------------------------------------------------------

    def at(self, second: float, event: Callable[[], None]) -> None:
        """Schedules an action."""
        heapq.heappush(self._events, (second, next(self._order), event))

    def every(self, seconds: float, event: Callable[[], None], first: float = 0.0) -> None:
        """Schedules a repeated action."""

        def again() -> None:
            event()
            self.at(self.now_s + seconds, again)

        self.at(self.now_s + first, again)

    def run(self, until_s: float) -> None:
        """Advances the time."""
        while self._events and self._events[0][0] <= until_s:
            self.now_s, _, event = heapq.heappop(self._events)
            event()
        self.now_s = until_s

    def measure(self) -> None:
        """Starts the measurement; earlier events are not counted."""
        self.findings, self._measuring_from_s, self._moves = Findings(), self.now_s, 0
        self._dark = {name: (self.now_s, cause) for name, (_, cause) in self._dark.items()}

    @property
    def now_ns(self) -> int:
        return round(self.now_s * _S)

    # -- events ----------------------------------------------------------------------------

    def begin(
        self, cameras: Mapping[str, float], workers: Mapping[str, float], places: Mapping[str, str]
    ) -> None:
        """Adds all cameras and workers, each camera with its assigned worker."""
        assert self.coordinator is not None
        self.machines = {name: Machine(capacity) for name, capacity in workers.items()}
        for name, demand in cameras.items():
            self.demands[name] = demand
            self.coordinator.add_stream(name)
            self._own(name, self.machines[places[name]], places[name], 0)
        for name, machine in self.machines.items():
            self._report_up(name, machine)
        self.every(self.costs.tick_s, self._tick)
        self.every(self.costs.report_s, self._reports, 0.5)
        self.every(1.0, self._sample, 0.75)

    def add_cameras(self, cameras: Mapping[str, float]) -> None:
        """Adds cameras, all at once."""
        for name, demand in cameras.items():
            self.demands[name] = demand
            self._dark[name] = (self.now_s, "new")
            if self.coordinator is not None:
                self.coordinator.add_stream(name)

    def remove_cameras(self, names: list[str]) -> None:
        """Removes cameras and makes their owners release them."""
        for name in names:
            if self.coordinator is not None:
                self.coordinator.remove_stream(name)
            for machine in self.machines.values():
                self._disown(name, machine)
            self._dark.pop(name, None)
            self._answers.pop(name, None)
            del self.demands[name]

    def change_demand(self, name: str, demand: float) -> None:
        """Changes the cost of a camera."""
        for machine in self.machines.values():
            if name in machine.owned:
                machine.demand += demand - self.demands[name]
        self.demands[name] = demand

    def crash(self, name: str, back_s: float | None = None) -> None:
        """Kills a worker; with ``back_s``, it restarts after that time."""
        machine = self.machines.pop(name, None)
        if machine is None:
            return
        machine.alive = False
        for stream in machine.owned:
            if self._answers.get(stream, ("", 0))[0] == name:
                self._dark[stream] = (self.now_s, "failure")
        self.at(self.now_s + self.costs.detect_s, lambda: self._miss(name))
        if back_s is not None:
            self.at(self.now_s + back_s, lambda: self.start(name, machine.capacity))

    def start(self, name: str, capacity: float = 1.0) -> None:
        """Starts a worker, which is ready after its start-up time."""

        def ready() -> None:
            if name not in self.machines:
                self.machines[name] = Machine(capacity)
                self._report_up(name, self.machines[name])

        self.at(self.now_s + self.costs.start_s, ready)

    def stop(self, name: str) -> None:
        """Stops a worker cleanly once it owns no streams."""
        self.machines.pop(name)
        self._miss(name)

    def cut(self, name: str, for_s: float) -> None:
        """Cuts the link between coordinator and worker for a time; the worker continues to predict."""
        machine = self.machines[name]
        machine.reachable = False
        self.at(self.now_s + self.costs.detect_s, lambda: self._miss(name))

        def heal() -> None:
            if machine.alive:
                machine.reachable = True
                self._report_up(name, machine)

        self.at(self.now_s + for_s, heal)

    def restart_coordinator(self, away_s: float) -> None:
        """Replaces the coordinator, whose state is lost, by one that queries the workers."""
        self.coordinator = None
        self._known = set()

        def back() -> None:
            self.coordinator = self._new_decider()
            for name in self.demands:
                self.coordinator.add_stream(name, last_generation=self._answers.get(name, ("", -1))[1])
            for name, machine in self.machines.items():
                if machine.reachable:
                    self._report_up(name, machine)

        self.at(self.now_s + away_s, back)

    # -- the coordinator -------------------------------------------------------------------------------

    def _report_up(self, name: str, machine: Machine) -> None:
        if self.coordinator is not None:
            self._known.add(name)
            self.coordinator.worker_up(name, machine.capacity, machine.owned, self.now_ns)

    def _miss(self, name: str) -> None:
        machine = self.machines.get(name)
        if self.coordinator is not None and name in self._known and not (machine and machine.reachable):
            self._known.discard(name)
            self.coordinator.worker_down(name, self.now_ns)

    def _tick(self) -> None:
        coordinator = self.coordinator
        if coordinator is None:
            return
        moves = coordinator.plan(self.now_ns)
        self.findings.began(moves, self.now_s)
        self._moves += len(moves)
        for move in moves:
            self._execute(coordinator, move)
        for worker, stream, generation in coordinator.stale:
            machine = self.machines.get(worker)
            if machine is not None and machine.owned.get(stream) == generation:
                self._disown(stream, machine)
                if self._answers.get(stream) == (worker, generation):
                    self._dark[stream] = (self.now_s, "move")
            coordinator.released(worker, stream)

    def _execute(self, coordinator: Decider, move: Move) -> None:
        """Executes the requests of a move, each when its worker is free."""

        def reached(name: str) -> Machine | None:
            machine = self.machines.get(name)
            return machine if machine is not None and machine.reachable else None

        def fail(why: str, kept: bool) -> None:
            def told() -> None:
                if coordinator is self.coordinator:
                    coordinator.failed(move, why, self.now_ns, kept=kept)

            self.at(self.now_s + self.costs.detect_s, told)

        def prepare() -> None:  # POST standby, or owned if there is no source
            target = reached(move.target)
            if coordinator is not self.coordinator:
                return
            if target is None:
                fail("its target does not answer", kept=True)
            elif move.source is None:
                self.at(self._turn(target) + self.costs.first_s, take)
            else:
                self.at(self._turn(target), hand_over)

        def hand_over() -> None:  # DELETE
            source = reached(move.source or "")
            if coordinator is not self.coordinator:
                return
            if source is None or move.stream_id not in source.owned:
                fail("its source does not answer", kept=False)
                return
            self.at(self._turn(source) - self.costs.verb_s, let_go)

        def let_go() -> None:
            source = reached(move.source or "")
            if source is None or move.stream_id not in source.owned:
                fail("its source does not answer", kept=False)
                return
            self._disown(move.stream_id, source)
            self._dark[move.stream_id] = (self.now_s, "move")
            target = reached(move.target)
            self.at(self.now_s + self.costs.verb_s if target is None else self._turn(target), take)

        def take() -> None:  # PUT
            target = reached(move.target)
            if move.stream_id not in self.demands:
                return
            if target is None or coordinator is not self.coordinator:
                fail("its target does not answer", kept=False)
                return
            self._own(move.stream_id, target, move.target, move.generation)
            coordinator.done(move, self.now_ns)

        prepare()

    def _turn(self, machine: Machine) -> float:
        """The time at which a worker will have carried out one more request."""
        machine.free_s = max(machine.free_s, self.now_s) + self.costs.verb_s
        return machine.free_s

    def _reports(self) -> None:
        if self.coordinator is None:
            return
        for name, machine in self.machines.items():
            if machine.reachable and name in self._known:
                self.coordinator.measured(name, self.load(name))

    # -- actual state -------------------------------------------------------------------------------------

    def load(self, name: str) -> WorkerLoad:
        """The load report of a worker."""
        return self.machines[name].load(name, self.demands)

    def _own(self, stream: str, machine: Machine, name: str, generation: int) -> None:
        if stream not in machine.owned:
            machine.demand += self.demands[stream]
        machine.owned[stream] = generation
        answering = self._answers.get(stream)
        if answering is not None and answering[1] == generation and answering[0] != name:
            self.findings.errors += 1
        if answering is None or generation > answering[1]:
            self._answers[stream] = (name, generation)
            if stream in self._dark:
                since_s, cause = self._dark.pop(stream)
                self.findings.gaps_s[cause].append(self.now_s - since_s)

    def _disown(self, stream: str, machine: Machine) -> None:
        if machine.owned.pop(stream, None) is not None:
            machine.demand -= self.demands[stream]

    def _sample(self) -> None:
        if self._measuring_from_s is None:
            self._moves = 0
            return
        levels = [machine.level for machine in self.machines.values()]
        mean = sum(levels) / max(len(levels), 1)
        self.findings.samples.append(
            Sample(
                second=round(self.now_s - self._measuring_from_s),
                workers=len(levels),
                overloaded=sum(level > 1 for level in levels),
                worst=max(levels, default=0.0),
                imbalance=max(levels, default=0.0) / mean if mean > 0 else 1.0,
                dark=len(self._dark),
                moves=self._moves,
            )
        )
        self._moves = 0
