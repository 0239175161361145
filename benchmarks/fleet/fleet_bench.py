"""``bench fleet --simulate``: the fleet's placement compared with simpler policies, in virtual time."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.fleet.fleet_plot import draw
from benchmarks.fleet.fleet_rivals import Decider, EvenAtOnce, HashModulo
from benchmarks.fleet.fleet_scenarios import SCENARIOS, WARM_UP_S, cameras, restless, worker_names
from benchmarks.fleet.virtual_fleet import VirtualFleet
from benchmarks.fleet.virtual_worker import Costs
from pipeline.base.errors import ConfigError
from pipeline.flow.fleet_policy import FleetPolicy
from pipeline.flow.fleet_table import FleetTable
from pipeline.flow.placement import place

OURS = "fleet table"
DECIDERS: dict[str, Callable[[], Decider]] = {
    OURS: lambda: FleetTable(FleetPolicy()),
    "even at once": EvenAtOnce,
    "hash modulo": HashModulo,
}

_COLUMNS = (
    "scenario",
    "policy",
    "moves per minute, planned / unplanned",
    "moved again within a minute",
    "overloaded worker-minutes",
    "highest load",
    "highest / mean load",
    "s without predictions after a failure, median / p99 / worst",
    "after a planned move, worst",
    "stream-seconds without predictions",
)


def bench(
    cameras_count: int,
    workers_count: int,
    minutes: float,
    seed: int,
    scenarios: Sequence[str],
    json_file: Path | None,
    picture: Path | None,
) -> None:
    """Runs each scenario with each decider; prints a Markdown table, writes JSON and plots curves.

    Raises:
        ConfigError: A scenario does not exist.
    """
    if unknown := set(scenarios) - set(SCENARIOS):
        raise ConfigError(f"unknown scenario {min(unknown)!r}; expected one of: {', '.join(SCENARIOS)}")
    print(f"{cameras_count} cameras, {workers_count} workers, {minutes:g} minutes each, seed {seed}")
    print(f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}", flush=True)
    results: list[dict[str, Any]] = []
    for scenario in scenarios or SCENARIOS:
        for name in DECIDERS:
            summary, curves = simulate(scenario, name, cameras_count, workers_count, minutes, seed)
            results.append({"scenario": scenario, "decider": name, **summary, "curves": curves})
            print(f"| {' | '.join(cells(scenario, name, summary))} |", flush=True)
    if json_file is not None:
        document = {
            "cameras": cameras_count,
            "workers": workers_count,
            "minutes": minutes,
            "seed": seed,
            "costs": asdict(Costs()),
            "scenarios": {name: SCENARIOS[name].about for name in scenarios or SCENARIOS},
            "results": results,
        }
        part = json_file.with_name(json_file.name + ".part")
        part.write_text(json.dumps(document) + "\n", encoding="utf-8")
        part.replace(json_file)
    if picture is not None:
        draw(results, picture)


def simulate(
    scenario: str, decider: str, cameras_count: int, workers_count: int, minutes: float, seed: int
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Runs one scenario with one decider; the events are the same for each decider.

    Returns:
        The metrics, and curves over time.
    """
    story, rng = SCENARIOS[scenario], random.Random(seed)
    names = worker_names(max(round(workers_count * story.workers), 2))
    usual = cameras(cameras_count, workers_count, rng)
    fleet = VirtualFleet(DECIDERS[decider], seed, Costs())
    fleet.begin(usual, dict.fromkeys(names, 1.0), _first_places(decider, list(usual), names))
    restless(fleet, usual)
    fleet.run(WARM_UP_S)
    fleet.measure()
    story.tell(fleet, minutes)
    fleet.run(WARM_UP_S + 60 * minutes)
    return fleet.findings.summary(minutes), fleet.findings.curves()


def _first_places(decider: str, streams: Sequence[str], workers: Sequence[str]) -> dict[str, str]:
    """Initial placement of the streams, as chosen by the decider."""
    if decider == OURS:
        return place(dict.fromkeys(streams, 1.0), dict.fromkeys(workers, 1.0))
    coordinator = DECIDERS[decider]()
    for stream in streams:
        coordinator.add_stream(stream)
    for worker in workers:
        coordinator.worker_up(worker, 1.0, {}, 0)
    return {move.stream_id: move.target for move in coordinator.plan(0)}


def cells(scenario: str, decider: str, summary: dict[str, Any]) -> list[str]:
    """One row of the table."""
    gaps = summary["without_predictions"]
    failure, move = gaps["failure"], gaps["move"]
    dark = sum(gap["stream_seconds"] for gap in gaps.values())
    return [
        scenario,
        decider,
        f"{summary['planned_a_minute']:g} / {summary['unplanned_a_minute']:g}",
        str(summary["planned_again_within_a_minute"]),
        f"{summary['overloaded_worker_minutes']:g}",
        f"{summary['worst_load']:.2f}",
        f"{summary['imbalance_mean']:.2f}",
        " / ".join(f"{failure[key]:.1f}" for key in ("median_s", "p99_s", "worst_s") if key in failure)
        or "-",
        f"{move['worst_s']:.1f}" if move["streams"] else "-",
        f"{dark:.0f}",
    ]
