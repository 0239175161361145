"""A fleet on three machines; Ray can't reach one for a while, though frames and predictions can."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fleet.ray_rig import stream_entry, write_film
from pipeline.wire.keys import allow, new_keys
from tests.rigs.ray_machines import RAY_PORTS, RayMachines
from tests.support import need_module
from workers.fleet.worker_client import Question, ask

_DEADLINE_S = 60.0
_FLEET = """name = "cut"
pipeline = "pipeline.toml"
[inference]
labels = { part = "inference" }
scaling = { least = 2, most = 2 }
[capture.capture]
labels = { part = "head" }
[sink]
labels = { part = "head" }
[placement]
steady_s = 600.0
"""
_PIPELINE = """[security]
secret_key = "keys/fleet.key_secret"
allowed = "keys/allowed"
[security.servers]
capture = "keys/fleet.key"
inference = "keys/fleet.key"
sink = "keys/fleet.key"
[sink]
predictions = "predictions.jsonl"
record = false
web = false
[inference]
attention = false
longer_side_px = 128
[wire]
stats_interval_s = 0.2
[run]
output_dir = ""
"""


@pytest.fixture
def machines() -> Iterator[RayMachines]:
    need_module("ray", "ray")
    rig = RayMachines("head", "left", "right")
    with rig:
        yield rig
    assert not rig.folder.exists()


def wait(what: str, is_so: Callable[[], Any]) -> Any:
    until = time.monotonic() + _DEADLINE_S
    while not (found := is_so()):
        assert time.monotonic() < until, what
        time.sleep(0.05)
    return found


def answers(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    *whole, _ = file.read_text().split("\n")
    return [json.loads(line) for line in whole]


def owned(socket: Path) -> dict[str, int]:
    told = ask(socket, Question("GET", "/streams")).read()
    return {one["stream_id"]: one["generation"] for one in told["streams"] if one["state"] == "owned"}


@pytest.mark.slow
def test_a_worker_that_ray_cannot_reach_is_fenced_off(machines: RayMachines) -> None:
    folder = machines.folder
    film, predictions = folder / "film.mp4", folder / "predictions.jsonl"
    write_film(film, 4.0, (160, 120), 400.0)
    (folder / "fleet.toml").write_text(_FLEET + stream_entry("gate", film) + stream_entry("door", film))
    (folder / "pipeline.toml").write_text(_PIPELINE)
    allow(folder / "keys" / "allowed", new_keys(folder / "keys", "fleet")[0])

    machines.fleet("head", "up", "--config", "fleet.toml").output()
    monitor = machines.fleet(
        "head", "monitor", "--config", "fleet.toml", "--headless", "--report", "report.json"
    )
    wait("both are predicted", lambda: len({one["stream_id"] for one in answers(predictions)}) == 2)
    [agent] = machines.agents("left")
    [(stream, generation)] = owned(agent / "control").items()

    machines.network.cut_ports(machines.machine("left"), RAY_PORTS)
    wait(
        "another worker predicts it",
        lambda: any(
            one["stream_id"] == stream and one["generation"] > generation for one in answers(predictions)
        ),
    )
    during = machines.status("cut")
    assert owned(agent / "control") == {stream: generation}  # it knows of nothing, and still predicts
    states = {about["host"]: about["state"] for about in during["workers"].values() if "host" in about}
    assert states[machines.machine("left").address] == "not heard"

    machines.network.mend()
    wait("it has left the stream", lambda: owned(agent / "control") == {})
    wait(
        "it is ready again",
        lambda: all(one["state"] == "ready" for one in machines.status("cut")["workers"].values()),
    )
    after = machines.status("cut")
    assert after["streams"][stream]["generation"] == generation + 1
    assert after["workers"][after["streams"][stream]["worker"]]["host"] == machines.machine("right").address

    machines.fleet("head", "down", "--fleet", "cut").output()
    monitor.process.send_signal(signal.SIGINT)
    printed = monitor.output()
    assert f"{stream}: an answer of generation {generation} is refused" in printed
    report = json.loads((folder / "report.json").read_text())
    assert {name: about["unaccounted"] for name, about in report["streams"].items()} == {"gate": 0, "door": 0}

    told = answers(predictions)
    for name in ("gate", "door"):
        generations = [one["generation"] for one in told if one["stream_id"] == name]
        assert generations == sorted(generations)
    frames = [(one["stream_id"], one["epoch"], one["seq"]) for one in told]
    assert len(frames) == len(set(frames))

    assert [name for name in machines.processes().values() if name.startswith("kvq")] == []
    assert [path for name in ("head", "left", "right") for path in machines.agents(name)] == []
