"""A soak test: kills and restarts random nodes of a fleet and checks its frame accounting.

``python -m benchmarks.fleet.fleet_soak --minutes 30 --json FILE``
"""

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from benchmarks.fleet.ray_rig import Fleet, ray_fleet
from workers.fleet import fleet_on_ray

_WARM_S = 20.0
_PLACEMENT = "settle_s = 10.0\nsteady_s = 2.0"


def soak(
    folder: Path,
    *,
    seconds: float,
    kills: int = 0,
    streams: int = 9,
    nodes: int = 3,
    seed: int = 0,
    options: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Runs the soak test on this machine.

    Args:
        folder: Folder for all files.
        seconds: Duration of the kills.
        kills: Maximum number of kills; 0: no limit.
        streams: Number of cameras, at 2 fps.
        nodes: Number of inference nodes.
        seed: Random seed of the kills.
        options: Keys of the workers' configuration.

    Returns:
        ``kills`` and ``moves``: their numbers; ``twice``: frames predicted twice; ``captured``,
        ``unaccounted``, and ``not_predicted`` by reason: frames of all streams; ``detect_s`` and ``whole_s``:
        for each kill, the time until it was detected, and until all streams had an owner again;
        ``memory_mb``: by process, at the beginning and at the end.
    """
    chance = random.Random(seed)
    film_s = seconds + 300.0
    with ray_fleet(
        folder, streams, nodes, fps=2.0, options=options, placement=_PLACEMENT, film_s=film_s
    ) as fleet:
        fleet.wait("all streams are placed", _is_settled)
        fleet.report(_WARM_S)
        begin_mb = _memory_mb(fleet)
        detect_s: list[float] = []
        whole_s: list[float] = []
        moves: set[tuple[Any, ...]] = set()
        until = time.monotonic() + seconds
        while time.monotonic() < until and (not kills or len(detect_s) < kills):
            node = chance.choice(sorted(fleet.nodes))
            found, whole = _kill(fleet, node)
            detect_s.append(found)
            whole_s.append(whole)
            fleet.report(chance.uniform(1.0, 5.0))
            fleet.add_node(node)
            fleet.wait("all workers are ready and all streams are placed", _is_settled)
            moves |= _moves(fleet)
            fleet.report(chance.uniform(1.0, 5.0))
        end_mb = _memory_mb(fleet)
        fleet_on_ray.down("rig")
        report = fleet.report(1.0, final=True)
        answers = Counter((one["stream_id"], one["epoch"], one["seq"]) for _, one in fleet.answers())
    told = report["streams"].values()
    not_predicted: Counter[str] = Counter()
    for stream in told:
        not_predicted.update(stream["not_predicted"])
    return {
        "kills": len(detect_s),
        "moves": len(moves),
        "answers": len(answers),
        "twice": sum(count > 1 for count in answers.values()),
        "captured": sum(stream["captured"] for stream in told),
        "unaccounted": sum(stream["unaccounted"] for stream in told),
        "not_predicted": {reason: count for reason, count in not_predicted.items() if count},
        "detect_s": [round(one, 2) for one in detect_s],
        "whole_s": [round(one, 2) for one in whole_s],
        "memory_mb": {name: [mb, end_mb.get(name)] for name, mb in begin_mb.items()},
    }


def _kill(fleet: Fleet, node: str) -> tuple[float, float]:
    """Kills a node; returns the seconds until detection, and until all streams had an owner again."""
    workers = fleet.status()["workers"].items()
    node_id = fleet.nodes[node].node_id
    [worker] = [name for name, one in workers if one.get("node") == node_id and name.startswith("inference")]
    began_ns = time.time_ns()
    fleet.kill_node(node)

    def is_noticed(status: dict[str, Any]) -> int:
        notes = [one for one in status["notes"] if one["what"] == "down" and one.get("worker") == worker]
        return int(notes[-1]["time_ns"]) if notes and notes[-1]["time_ns"] > began_ns else 0

    def is_whole(status: dict[str, Any]) -> bool:
        return all(one["worker"] not in (None, worker) for one in status["streams"].values())

    noticed_ns = fleet.wait(f"the loss of {worker} is detected", is_noticed)
    fleet.wait("all streams have an owner", is_whole)
    return (noticed_ns - began_ns) / 1e9, (time.time_ns() - began_ns) / 1e9


def _is_settled(status: dict[str, Any]) -> bool:
    ready = all(one["state"] == "ready" for one in status["workers"].values())
    return ready and all(one["worker"] and not one["moving_to"] for one in status["streams"].values())


def _moves(fleet: Fleet) -> set[tuple[Any, ...]]:
    notes = [one for one in fleet.status()["notes"] if one["what"] == "moved"]
    return {(one["stream"], one["generation"]) for one in notes}


def _memory_mb(fleet: Fleet) -> dict[str, float]:
    """Memory of the coordinator and of the workers that are not killed: capture and the sink."""
    pids = {"coordinator": fleet.coordinator_process().pid}
    for name, about in fleet.status()["workers"].items():
        if about["role"] != "inference":
            pids[name] = about["pid"]
    return {name: round(psutil.Process(pid).memory_info().rss / 2**20, 1) for name, pid in pids.items()}


def main() -> None:
    """Runs the soak test and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--kills", type=int, default=0, help="maximum number of kills; 0: no limit")
    parser.add_argument("--streams", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kvq-soak-") as folder:
        found = soak(
            Path(folder),
            seconds=60 * given.minutes,
            kills=given.kills,
            streams=given.streams,
            seed=given.seed,
            options=("inference.longer_side_px=128", "capture.replay_ms=2500"),
        )
    text = json.dumps(found, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
