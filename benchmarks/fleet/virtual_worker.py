"""A worker of a simulated fleet, and the duration of its operations."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.flow.worker_load import StreamLoad, WorkerLoad

_FPS = 10.0


@dataclass(frozen=True)
class Costs:
    """Durations of the operations of a worker and of the coordinator, in seconds.

    Attributes:
        detect_s: Time until the loss of a dead or unreachable worker is detected.
        verb_s: Duration of each request at a worker; requests are processed one by one.
        first_s: Time from the assignment of a stream to its first prediction, with replayed past frames.
        start_s: Time from the start of a worker until it is ready.
        report_s: Interval between two reports of a worker's load.
        tick_s: Interval between two plans of the coordinator.
    """

    detect_s: float = 1.0
    verb_s: float = 0.05
    first_s: float = 0.25
    start_s: float = 20.0
    report_s: float = 5.0
    tick_s: float = 1.0


@dataclass
class Machine:
    """The actual state of a worker, which may differ from the coordinator's view.

    Attributes:
        capacity: Its capacity as known to the coordinator.
        speed: Fraction of that capacity that it actually has.
        alive: Whether it is running.
        reachable: Whether the coordinator can reach it.
        owned: Generation of each stream that it considers its own.
        demand: Total cost of the owned streams, relative to a worker of capacity 1.
        free_s: Time at which it will have carried out all pending requests.
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
        """Demand relative to its actual capacity."""
        return self.demand / (self.capacity * self.speed)

    def load(self, name: str, demands: Mapping[str, float]) -> WorkerLoad:
        """Its load report, given the cost of each stream."""
        done = min(1.0, 1.0 / self.level) if self.level > 0 else 1.0
        share = done / (self.capacity * self.speed)
        age_ms = 50.0 / max(1.0 - 0.9 * self.level, 0.1)
        streams = {
            stream: StreamLoad(generation, _FPS * done, demands[stream] * share, _FPS * (1 - done), age_ms)
            for stream, generation in self.owned.items()
        }
        return WorkerLoad(name, min(self.level, 1.0), streams)
