"""Scenarios of simulated fleets: failures, drains, crowds, slow workers, a lost coordinator."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.fleet.virtual_fleet import VirtualFleet
from pipeline.flow.scaling import Scaler, ScalingPolicy

WARM_UP_S = 70.0
_NODE = 8
"""Workers per node."""
_BUSY = 0.6
"""Initial total load, as a share of the total capacity."""


@dataclass(frozen=True)
class Scenario:
    """One scenario.

    Attributes:
        about: Short description; the numbers in it apply to 200 workers.
        tell: Schedules the events of the scenario; they begin after the warm-up.
        workers: Share of the workers that are running at the beginning.
    """

    about: str
    tell: Callable[[VirtualFleet, float], None]
    workers: float = 1.0


def cameras(count: int, workers: int, rng: random.Random, prefix: str = "camera") -> dict[str, float]:
    """Cameras with random costs that add up to the initial load."""
    weights = [rng.uniform(0.5, 1.5) for _ in range(count)]
    return {f"{prefix} {n:05d}": _BUSY * workers * w / sum(weights) for n, w in enumerate(weights)}


def worker_names(count: int) -> list[str]:
    """Names of the workers, ordered by node."""
    return [f"node {n // _NODE:02d} worker {n % _NODE}" for n in range(count)]


def restless(fleet: VirtualFleet, usual: dict[str, float]) -> None:
    """Changes the cost of 2 % of the cameras every 10 s."""

    def change() -> None:
        known = [name for name in usual if name in fleet.demands]
        for name in fleet.rng.sample(known, len(known) // 50):
            fleet.change_demand(name, usual[name] * fleet.rng.uniform(0.7, 1.3))

    fleet.every(10.0, change)


def _failures(fleet: VirtualFleet, minutes: float) -> None:
    for _ in range(round(minutes * 2 * len(fleet.machines) / 200)):
        second = fleet.now_s + fleet.rng.uniform(0, 60 * minutes)
        away_s = fleet.rng.uniform(5, 100)
        fleet.at(second, lambda away_s=away_s: _crash_one(fleet, away_s))  # type: ignore[misc]


def _crash_one(fleet: VirtualFleet, away_s: float) -> None:
    if len(fleet.machines) > 1:
        fleet.crash(fleet.rng.choice(sorted(fleet.machines)), away_s)


def _node(fleet: VirtualFleet, minutes: float) -> None:
    lost = sorted(fleet.machines)[:_NODE] if len(fleet.machines) > _NODE else sorted(fleet.machines)[:1]

    def lose() -> None:
        for name in lost:
            fleet.crash(name, 160.0)

    fleet.at(fleet.now_s + 60.0, lose)


def _flapping(fleet: VirtualFleet, minutes: float) -> None:
    name = sorted(fleet.machines)[0]

    def fall() -> None:
        fleet.crash(name, 5.0)

    fleet.every(60.0, fall, 30.0)


def _drain(fleet: VirtualFleet, minutes: float) -> None:
    """Drains, restarts and re-adds one node after another."""
    names = sorted(fleet.machines)
    nodes = (
        [names[n : n + _NODE] for n in range(0, len(names), _NODE)]
        if len(names) > _NODE
        else [[n] for n in names]
    )
    waiting = list(nodes)

    def next_node() -> None:
        if waiting and fleet.coordinator is not None:
            node = waiting.pop(0)
            for name in node:
                fleet.coordinator.drain(name)
            look(node)

    def look(node: Sequence[str]) -> None:
        if any(fleet.machines[name].owned for name in node if name in fleet.machines):
            fleet.at(fleet.now_s + 1.0, lambda: look(node))
            return
        for name in node:
            fleet.stop(name)
            fleet.start(name)
        fleet.at(fleet.now_s + fleet.costs.start_s + 1.0, lambda: taken_in(node))

    def taken_in(node: Sequence[str]) -> None:
        assert fleet.coordinator is not None
        for name in node:
            fleet.coordinator.undrain(name)
        fleet.at(fleet.now_s + 60.0, next_node)

    fleet.at(fleet.now_s + 10.0, next_node)


def _crowd(fleet: VirtualFleet, minutes: float) -> None:
    count = len(fleet.demands) // 5
    added = cameras(count, round(len(fleet.machines) / 5), fleet.rng, "crowd")
    fleet.at(fleet.now_s + 60.0, lambda: fleet.add_cameras(added))


def _slow(fleet: VirtualFleet, minutes: float) -> None:
    names = sorted(fleet.machines)[: max(len(fleet.machines) // 50, 1)]

    def set_speed(speed: float) -> None:
        for name in names:
            if name in fleet.machines:
                fleet.machines[name].speed = speed

    fleet.at(fleet.now_s + 60.0, lambda: set_speed(0.4))
    fleet.at(fleet.now_s + 60.0 + 30.0 * minutes, lambda: set_speed(1.0))


def _coordinator(fleet: VirtualFleet, minutes: float) -> None:
    """The coordinator is down for 10 s, during which a worker dies; another is unreachable for a minute."""
    first, second = sorted(fleet.machines)[:2]
    fleet.at(fleet.now_s + 59.0, lambda: fleet.cut(second, 60.0))
    fleet.at(fleet.now_s + 60.0, lambda: fleet.restart_coordinator(10.0))
    fleet.at(fleet.now_s + 64.0, lambda: fleet.crash(first, 60.0))


def _scaling(fleet: VirtualFleet, minutes: float) -> None:
    """Adds 50 % more cameras and removes them later; workers are started and stopped to match."""
    added = cameras(len(fleet.demands) // 2, round(0.6 * len(fleet.machines)), fleet.rng, "crowd")
    fleet.at(fleet.now_s + 60.0, lambda: fleet.add_cameras(added))
    fleet.at(fleet.now_s + 30.0 * minutes, lambda: fleet.remove_cameras(list(added)))
    scaler = Scaler(ScalingPolicy(least=1, most=2 * len(fleet.machines), fewer_after_s=60.0))
    starting: set[str] = set()
    leaving: set[str] = set()
    numbers = iter(range(1_000_000))

    def look() -> None:
        coordinator = fleet.coordinator
        assert coordinator is not None
        starting.difference_update(fleet.machines)
        for name in [name for name in leaving if not fleet.machines[name].owned]:
            leaving.discard(name)
            fleet.stop(name)
            coordinator.undrain(name)
        staying = [name for name in fleet.machines if name not in leaving]
        present = len(staying) + len(starting)
        wanted = scaler.wanted([fleet.load(name) for name in staying], present, fleet.now_ns).workers
        for _ in range(wanted - present):
            name = f"extra worker {next(numbers)}"
            starting.add(name)
            fleet.start(name)
        for name in sorted(staying, key=lambda one: (fleet.machines[one].level, one))[
            : max(present - wanted, 0)
        ]:
            leaving.add(name)
            coordinator.drain(name)

    fleet.every(5.0, look)


SCENARIOS = {
    "failures": Scenario("two workers fail each minute and return after 25 to 120 s", _failures),
    "node": Scenario("a node with 8 workers is lost and returns after three minutes", _node),
    "flapping": Scenario("a worker dies again and again, 35 s after each return", _flapping),
    "drain": Scenario("one node after another is drained, restarted and put back into service", _drain),
    "crowd": Scenario("20 % more cameras are added at once", _crowd),
    "slow": Scenario("one worker in fifty runs at 40 % of its speed for half of the time", _slow),
    "coordinator": Scenario(
        "the coordinator is down for 10 s; meanwhile a worker dies and another is unreachable for a minute",
        _coordinator,
    ),
    "scaling": Scenario(
        "80 % of the workers at first; 50 % more cameras for almost half of the time; workers start and stop",
        _scaling,
        workers=0.8,
    ),
}
