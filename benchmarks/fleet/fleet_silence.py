"""How long agents and workers of a fleet are silent on an overloaded machine.

``python -m benchmarks.fleet.fleet_silence --busy 0 --busy 8 --json FILE`` runs a fleet on one machine, next
to 0 and then 8 busy processes. It measures how long each agent is silent, as seen by the coordinator, and how
long inference takes to answer ``GET /healthz``, requested as its agent does.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.fleet.ray_rig import Fleet, ray_fleet
from benchmarks.machine import describe_machine
from workers.fleet import fleet_on_ray
from workers.fleet.worker_client import Question, ask

_FOLDERS = "kvq-agent-*"


def silence(fleet: Fleet, busy: int, seconds: float) -> dict[str, Any]:
    """The longest silences within a period, in seconds, and the number of workers considered dead."""
    others = [multiprocessing.get_context("spawn").Process(target=_count, daemon=True) for _ in range(busy)]
    for process in others:
        process.start()
    began_ns, until = time.time_ns(), time.monotonic() + seconds
    heard, health = [0.0], [0.0]
    while time.monotonic() < until:
        heard += [about["heard_s"] for about in fleet.status()["workers"].values()]
        for folder in Path(tempfile.gettempdir()).glob(_FOLDERS):
            asked = time.monotonic()
            told = ask(folder / "control", Question("GET", "/healthz")).read()
            if isinstance(told, dict) and told.get("role") == "inference":
                health.append(time.monotonic() - asked)
    for process in others:
        process.kill()
        process.join()
    down = [n for n in fleet.status()["notes"] if n["what"] == "down" and n["time_ns"] >= began_ns]
    return {
        "busy_processes": busy,
        "agent_silent_s": round(max(heard), 2),
        "health_s": round(max(health), 2),
        "health_asked": len(health) - 1,
        "down": [f"{note['worker']}: {note['why']}" for note in down],
    }


def _count() -> None:
    number = 0
    while True:
        number += 1


def main() -> None:
    """Measures and stores the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", type=int, action="append", help="other busy processes; repeatable")
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--fps", type=float, default=5.0)
    parser.add_argument("--side", type=int, default=320, help="longer side of the network's input, px")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    options = [f"inference.longer_side_px={asked.side}"]
    with (
        tempfile.TemporaryDirectory() as folder,
        ray_fleet(Path(folder), asked.streams, 1, fps=asked.fps, options=options) as fleet,
    ):
        fleet.wait(
            "all streams have an owner", lambda told: all(one["worker"] for one in told["streams"].values())
        )
        results = []
        for busy in asked.busy or [0]:
            results.append(silence(fleet, busy, asked.seconds))
            print(json.dumps(results[-1]), flush=True)
        fleet_on_ray.down("rig")
    if asked.json:
        told = {
            "machine": describe_machine(),
            "streams": asked.streams,
            "fps": asked.fps,
            "side_px": asked.side,
        }
        asked.json.write_text(json.dumps({**told, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
