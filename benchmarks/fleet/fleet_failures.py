"""Losses and recovery times of a fleet: ``python -m benchmarks.fleet.fleet_failures --json FILE``.

A Ray cluster of several nodes runs on this machine, one with capture and the sink, the others with one
inference worker each; sources are videos of the demo tour in real time. In sequence: all processes of a node
are killed, it returns, the coordinator is killed, a node is drained. Times are measured from the failure, as
seen by the sink.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.fleet.ray_rig import Fleet, ray_fleet
from benchmarks.machine import describe_machine
from workers.fleet import fleet_on_ray
from workers.fleet.ray_cluster import RayError

_EVEN_S = 90.0
_QUIET_S = 8.0


def node_killed(fleet: Fleet, node: str) -> dict[str, Any]:
    """Kills a node; measures the time until its streams are predicted again, and the parts of that time."""
    victim = _worker_on(fleet, node)
    streams = _streams_of(fleet, victim)
    depths = [answer["depth"] for _, answer in fleet.answers()[-3 * len(streams) :]]
    before, killed_ns = len(fleet.answers()), time.time_ns()
    fleet.kill_node(node)
    down_ns = fleet.wait(
        "the loss is detected",
        lambda told: next(
            (note["time_ns"] for note in told["notes"] if _is_down(note, victim, killed_ns)), 0
        ),
    )
    fleet.report(_QUIET_S)
    given: dict[str, float] = {}
    for note in fleet.status()["notes"]:
        if _is_move_since(note, killed_ns) and note["stream"] in streams:
            given.setdefault(note["stream"], (note["time_ns"] - killed_ns) / 1e9)
    captured, first, full = dict[str, float](), dict[str, float](), dict[str, float]()
    for came_ns, answer in fleet.answers()[before:]:
        name, after_s = answer["stream_id"], (came_ns - killed_ns) / 1e9
        if name not in streams or came_ns < down_ns:
            continue
        first.setdefault(name, after_s)
        captured.setdefault(name, (answer["capture_ns"] - killed_ns) / 1e9)
        if answer["depth"] == 2:
            full.setdefault(name, after_s)
    return {
        "streams": len(streams),
        "full_depth_before": round(depths.count(2) / len(depths), 2),
        "noticed_s": round((down_ns - killed_ns) / 1e9, 2),
        "given_s": _spread(given.values()),
        "first_predicted_captured_s": _spread(captured.values()),
        "first_prediction_s": _spread(first.values()),
        "first_full_depth_s": _spread(full.values()),
        "without": len(streams) - len(full),
    }


def node_back(fleet: Fleet, node: str) -> dict[str, Any]:
    """Restores the node; measures the time until the load is balanced, and the moves of each stream."""
    began_ns, began = time.time_ns(), time.monotonic()
    fleet.add_node(node)
    fleet.wait(
        "the worker of the restored node is ready",
        lambda told: all(_is_ready(one) for one in told["workers"].values()),
    )
    ready_s = time.monotonic() - began
    fleet.wait("the load is balanced", _is_even, _EVEN_S)
    even_s = time.monotonic() - began
    moves = Counter(note["stream"] for note in fleet.status()["notes"] if _is_move_since(note, began_ns))
    return {
        "ready_s": round(ready_s, 1),
        "even_after_ready_s": round(even_s - ready_s, 1),
        "moves": sum(moves.values()),
        "most_moves_of_a_stream": max(moves.values(), default=0),
    }


def coordinator_killed(fleet: Fleet) -> dict[str, Any]:
    """Kills the coordinator's process; measures its recovery time and how many owners have changed."""
    owners = _owners(fleet)
    before, killed_ns = len(fleet.answers()), time.time_ns()
    fleet.coordinator_process().kill()
    fleet.report(1.0)
    meanwhile = len(fleet.answers()) - before
    back_s = None
    while back_s is None:
        try:
            fleet_on_ray.call(fleet.coordinator, "status")
            back_s = (time.time_ns() - killed_ns) / 1e9
        except RayError:
            fleet.report(0.1)
    fleet.wait(
        "the coordinator knows all owners",
        lambda told: all(one["worker"] for one in told["streams"].values()),
    )
    return {
        "back_s": round(back_s, 2),
        "found_s": round((time.time_ns() - killed_ns) / 1e9, 2),
        "predictions_in_the_first_second": meanwhile,
        **_changed(fleet, owners),
    }


def node_drained(fleet: Fleet, node: str) -> dict[str, Any]:
    """Drains a node; measures the losses of the moved streams."""
    victim = _worker_on(fleet, node)
    streams = _streams_of(fleet, victim)
    before, began = fleet.report(1.0), time.monotonic()
    fleet_on_ray.call(fleet.coordinator, "drain", victim)
    fleet.wait("the drained node has no streams", lambda told: not told["workers"][victim]["streams"], 200.0)
    took_s = time.monotonic() - began
    after = fleet.report(2.0)
    notes = [n for n in fleet.status()["notes"] if n["what"] == "moved" and n.get("source") == victim]
    fleet_on_ray.call(fleet.coordinator, "undrain", victim)
    return {
        "streams": len(streams),
        "took_s": round(took_s, 1),
        "move_ms": _spread(note["took_ms"] for note in notes),
        "memory_taken": sum(note.get("memory") == "taken" for note in notes),
        "lost_on_the_wire": _lost(after, streams) - _lost(before, streams),
    }


def run(streams: int, nodes: int, fps: float, side_px: int) -> dict[str, Any]:
    """Causes all failures in one fleet, one after the other; returns the measurements."""
    rare = [f"{key}={2500 / fps:g}" for key in ("capture.replay_ms", "history.max_gap_ms")]
    options = [f"inference.longer_side_px={side_px}", *rare]
    with (
        tempfile.TemporaryDirectory() as folder,
        ray_fleet(Path(folder), streams, nodes, fps=fps, options=options) as fleet,
    ):
        fleet.wait(
            "all streams have an owner", lambda told: all(one["worker"] for one in told["streams"].values())
        )
        fleet.report(_QUIET_S)
        result: dict[str, Any] = {"streams": streams, "inference_nodes": nodes, "fps": fps}
        for name, blow in (
            ("node_killed", partial(node_killed, fleet, "n2")),
            ("node_back", partial(node_back, fleet, "n2")),
            ("coordinator_killed", partial(coordinator_killed, fleet)),
            ("node_drained", partial(node_drained, fleet, "n1")),
        ):
            result[name] = blow()
            print(name, json.dumps(result[name]), flush=True)
        fleet_on_ray.down("rig")
        report = fleet.report(1.0, final=True)
        answered = Counter((one["stream_id"], one["epoch"], one["seq"]) for _, one in fleet.answers())
        result["unaccounted"] = sum(one["unaccounted"] for one in report["streams"].values())
        result["predicted_twice"] = sum(count - 1 for count in answered.values())
        result["captured"] = sum(one["captured"] for one in report["streams"].values())
        result["not_predicted"] = dict(
            sum((Counter(one["not_predicted"]) for one in report["streams"].values()), Counter[str]())
        )
        return result


def _spread(seconds: Any) -> dict[str, float]:
    values = sorted(seconds)
    if not values:
        return {}
    return {"median": round(statistics.median(values), 2), "worst": round(values[-1], 2)}


def _changed(fleet: Fleet, owners: Mapping[str, tuple[str, int]]) -> dict[str, Any]:
    """The number of streams with another owner than in ``owners``, and the reasons of their last moves."""
    changed = {name for name, owner in _owners(fleet).items() if owners[name] != owner}
    why = {note["stream"]: note["why"] for note in fleet.status()["notes"] if note["what"] == "moved"}
    return {"owners_changed": len(changed), "reasons": sorted(why.get(name, "") for name in changed)}


def _owners(fleet: Fleet) -> dict[str, tuple[str, int]]:
    return {name: (one["worker"], one["generation"]) for name, one in fleet.status()["streams"].items()}


def _worker_on(fleet: Fleet, node: str) -> str:
    workers = fleet.status()["workers"]
    return next(str(name) for name, one in workers.items() if one.get("node") == fleet.nodes[node].node_id)


def _streams_of(fleet: Fleet, worker: str) -> list[str]:
    return [name for name, one in fleet.status()["streams"].items() if one["worker"] == worker]


def _is_down(note: dict[str, Any], worker: str, since_ns: int) -> bool:
    return bool(note["what"] == "down" and note.get("worker") == worker and note["time_ns"] >= since_ns)


def _is_move_since(note: dict[str, Any], since_ns: int) -> bool:
    return bool(note["what"] == "moved" and note["time_ns"] >= since_ns)


def _is_ready(about: dict[str, Any]) -> bool:
    return bool(about["state"] == "ready")


def _is_even(told: dict[str, Any]) -> bool:
    counts = [one["streams"] for one in told["workers"].values() if one["role"] == "inference"]
    return bool(max(counts) - min(counts) <= max(1, round(0.3 * sum(counts) / len(counts))))


def _lost(report: dict[str, Any], streams: list[str]) -> int:
    kinds = ("wire.lost", "inference.absent")
    return sum(report["streams"][name]["not_predicted"].get(kind, 0) for name in streams for kind in kinds)


def main() -> None:
    """Prints the effect of each failure and stores the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--nodes", type=int, default=3, help="nodes with one inference worker each")
    parser.add_argument("--fps", type=float, default=1.0, help="frame rate of each stream")
    parser.add_argument("--side", type=int, default=128, help="longer side of the network's input, px")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = run(options.streams, options.nodes, options.fps, options.side)
    result = {"machine": describe_machine(), **result}
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
