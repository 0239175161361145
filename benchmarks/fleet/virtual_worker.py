"""A worker of a simulated fleet, and the duration of its operations."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.flow.worker_load import StreamLoad, WorkerLoad

_FPS = 10.0


@dataclass(frozen=True)
class Costs:
    """What things take, in seconds.

    Attributes:
        detect_s: Until a worker that died or is cut off is missed.
        verb_s: What a worker needs for each order, one after the other.
        first_s: From an order to own a stream to its first prediction, with past frames that are sent again.
        start_s: From the start of a worker until it is ready.
        report_s: Between two reports of a worker's load.
        tick_s: Between two plans of the coordinator.
    """

    detect_s: float = 1.0
    verb_s: float = 0.05
    first_s: float = 0.25
    start_s: float = 20.0
    report_s: float = 5.0
    tick_s: float = 1.0


@dataclass
class Machine:
    """A worker as it is, whatever the coordinator believes.

    Attributes:
        capacity: What it can carry, as the coordinator knows it.
        speed: What it really does of that.
        alive: It runs.
        reachable: The coordinator reaches it.
        owned: Generation of each stream that it believes it owns.
        demand: Of these, in workers of capacity 1.
        free_s: When it has done all orders so far.
    """

    capacity: float = 1.0
    speed: float = 1.0
    alive: bool = True
    reachable: bool = True
    owned: dict[str, int] = field(default_factory=dict)
    demand: float = 0.0
    free_s: float = 0.0

    @property
    def level(self) -> float:
        """What it is asked for, as a part of what it can do."""
        return self.demand / (self.capacity * self.speed)

    def load(self, name: str, demands: Mapping[str, float]) -> WorkerLoad:
        """What it says of its load, given what each stream costs."""
        done = min(1.0, 1.0 / self.level) if self.level > 0 else 1.0
        share = done / (self.capacity * self.speed)
        age_ms = 50.0 / max(1.0 - 0.9 * self.level, 0.1)
        streams = {
            stream: StreamLoad(generation, _FPS * done, demands[stream] * share, _FPS * (1 - done), age_ms)
            for stream, generation in self.owned.items()
        }
        return WorkerLoad(name, min(self.level, 1.0), streams)
