"""Metrics of a simulated fleet: moves, overload, time without predictions, imbalance."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.flow.fleet_table import Move


@dataclass(frozen=True)
class Sample:
    """State of all workers at one time.

    Attributes:
        second: Time since the measurement began.
        workers: Number of running workers.
        overloaded: Number of workers whose load exceeds their capacity.
        worst: Highest load, relative to the worker's capacity.
        imbalance: Highest load divided by the mean.
        dark: Number of streams without predictions.
        moves: Number of moves in the last second.
    """

    second: int
    workers: int
    overloaded: int
    worst: float
    imbalance: float
    dark: int
    moves: int


@dataclass
class Findings:
    """Counts of one run.

    Attributes:
        planned: Number of moves with a handover from the old owner.
        unplanned: Number of moves of new streams and of streams that lost their owner.
        again: Number of planned moves within a minute of the stream's last move.
        gaps_s: Seconds without predictions, by cause: ``failure``, ``move``, ``new``.
        samples: One sample per second.
        errors: Violations of ownership: two owners with the same generation.
    """

    planned: int = 0
    unplanned: int = 0
    again: int = 0
    gaps_s: dict[str, list[float]] = field(default_factory=lambda: {"failure": [], "move": [], "new": []})
    samples: list[Sample] = field(default_factory=list)
    errors: int = 0
    _moved_s: dict[str, float] = field(default_factory=dict)

    def began(self, moves: Iterable[Move], now_s: float) -> None:
        """Counts moves that have begun."""
        for move in moves:
            if move.source is None:
                self.unplanned += 1
            else:
                self.planned += 1
                self.again += now_s - self._moved_s.get(move.stream_id, -math.inf) < 60.0
            if move.generation > 0:
                self._moved_s[move.stream_id] = now_s

    def summary(self, minutes: float) -> dict[str, Any]:
        """All metrics, rounded."""
        moves = [sample.moves for sample in self.samples]
        overloaded = sum(sample.overloaded for sample in self.samples)
        return {
            "planned_a_minute": round(self.planned / minutes, 1),
            "unplanned_a_minute": round(self.unplanned / minutes, 1),
            "moves_in_the_worst_minute": max(
                (sum(moves[n : n + 60]) for n in range(max(len(moves) - 59, 1))), default=0
            ),
            "planned_again_within_a_minute": self.again,
            "overloaded_worker_minutes": round(overloaded / 60, 1),
            "worst_load": round(max((sample.worst for sample in self.samples), default=0.0), 2),
            "imbalance_mean": round(
                sum(sample.imbalance for sample in self.samples) / max(len(self.samples), 1), 3
            ),
            "imbalance_at_the_end": round(self.samples[-1].imbalance, 3) if self.samples else None,
            "without_predictions": {cause: _gaps(gaps) for cause, gaps in self.gaps_s.items()},
            "dark_at_the_end": self.samples[-1].dark if self.samples else 0,
            "two_owners": self.errors,
            "workers": [min(_counts(self.samples)), max(_counts(self.samples))] if self.samples else [],
        }

    def curves(self, every_s: int = 10) -> dict[str, list[float]]:
        """Curves over time, for the plot: means over ``every_s`` seconds, sums for moves."""
        parts = [self.samples[n : n + every_s] for n in range(0, len(self.samples), every_s)]
        return {
            "second": [part[0].second for part in parts],
            "moves": [sum(sample.moves for sample in part) for part in parts],
            "imbalance": [round(sum(s.imbalance for s in part) / len(part), 3) for part in parts],
            "dark": [round(sum(s.dark for s in part) / len(part), 1) for part in parts],
            "overloaded": [round(sum(s.overloaded for s in part) / len(part), 1) for part in parts],
            "workers": [part[-1].workers for part in parts],
        }


def _counts(samples: Sequence[Sample]) -> Counter[int]:
    return Counter(sample.workers for sample in samples)


def _gaps(gaps: Sequence[float]) -> dict[str, float]:
    """Statistics of gaps without predictions: number, sum, median, 99th percentile and maximum, in s."""
    if not gaps:
        return {"streams": 0, "stream_seconds": 0.0}
    ordered = sorted(gaps)
    return {
        "streams": len(ordered),
        "stream_seconds": round(sum(ordered), 1),
        "median_s": round(ordered[len(ordered) // 2], 2),
        "p99_s": round(ordered[min(math.ceil(0.99 * len(ordered)), len(ordered)) - 1], 2),
        "worst_s": round(ordered[-1], 2),
    }
