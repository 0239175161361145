"""A fleet on a real Ray cluster of four nodes on this machine: started, asked, hurt, and ended."""

import json
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.fleet.ray_rig import Fleet, ray_fleet
from tests.support import need_module, until
from tests.workers.pipeline import quick_model
from tests.workers.program import PROGRAM, RUN_S, STARTED_AS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(500),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray", "ignore::DeprecationWarning:ray"),
]

WAIT_S = 120.0
LONGER_THAN_A_LEASE_S = 2.0
STREAMS = [f"cam{n:02d}" for n in range(6)]
NODES = ("n1", "n2", "n3")


def fleet_command(fleet: Fleet, *arguments: str, code: int = 0) -> str:
    """`run_stream.py fleet ARGUMENTS`; what it printed."""
    address = ("--address", fleet.cluster.address)
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "fleet", *arguments, *address],
        cwd=fleet.predictions.parent,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.returncode == code, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stderr


def worker_on(fleet: Fleet, node: str) -> str:
    workers = fleet.status()["workers"].items()
    node_id = fleet.nodes[node].node_id
    return next(name for name, one in workers if one.get("node") == node_id and name.startswith("inference"))


def owners(status: dict[str, Any]) -> dict[str, tuple[str, int]]:
    return {name: (one["worker"], one["generation"]) for name, one in status["streams"].items()}


def counts(status: dict[str, Any]) -> list[int]:
    """Of streams, by inference worker that has any."""
    return sorted(Counter(one["worker"] for one in status["streams"].values()).values())


def is_settled(status: dict[str, Any]) -> bool:
    ready = all(one["state"] == "ready" for one in status["workers"].values())
    return ready and all(one["worker"] and not one["moving_to"] for one in status["streams"].values())


def wait_for_answers(fleet: Fleet, streams: list[str], generations: dict[str, int], depth: int = 0) -> None:
    """Waits for a prediction of each stream, of a generation and a depth at least, that comes from now on."""
    before = len(fleet.answers())

    def all_there() -> bool:
        fleet.collector.poll(0.05)
        found = {
            one["stream_id"]
            for _, one in fleet.answers()[before:]
            if one["generation"] >= generations[one["stream_id"]] and one["depth"] >= depth
        }
        return found >= set(streams)

    until(all_there, f"predictions of {streams}", WAIT_S, lambda: json.dumps(fleet.status(), indent=1))


def check_commands(fleet: Fleet) -> None:
    """A fleet is up: `up` leaves it as it is; cameras come and go."""
    before = owners(fleet.status())
    same = [word for option in fleet.options for word in ("--set", option)]
    told = fleet_command(fleet, "up", "--config", "fleet.toml", *same)
    assert owners(fleet.status()) == before
    assert "inference-3" in told
    other = fleet_command(fleet, "up", "--config", "fleet.toml", *same, "--insecure", code=2)
    assert "fleet 'rig' is up with another configuration: run `fleet down --fleet rig` first" in other
    told = json.loads(fleet_command(fleet, "status", "--fleet", "rig", "--json"))
    assert sorted(told["streams"]) == STREAMS
    assert "cam05" in fleet_command(fleet, "status", "--fleet", "rig")
    fleet_command(fleet, "add", "late", str(fleet.predictions.parent / "film.mp4"), "--fleet", "rig")
    fleet.wait("it is placed", lambda told: told["streams"]["late"]["worker"])
    wait_for_answers(fleet, ["late"], dict.fromkeys([*STREAMS, "late"], 0))
    assert "another stream is named 'late'" in fleet_command(
        fleet, "add", "late", "demo", "--fleet", "rig", code=2
    )
    fleet_command(fleet, "remove", "late", "--fleet", "rig")
    assert "no stream 'late'" in fleet_command(fleet, "remove", "late", "--fleet", "rig", code=2)
    wrong = fleet_command(fleet, "status", "--fleet", "nosuch", code=2)
    assert wrong == (
        "error: fleet 'nosuch' is not up: running fleets: rig; choose one with --fleet NAME, or start it "
        f"with `{STARTED_AS} fleet up --config FILE`\n"
    )


def kill_a_node(fleet: Fleet) -> None:
    """Its streams go to others, which begin with what capture sends again; then it comes back."""
    before = owners(fleet.wait("all is well", lambda told: told if is_settled(told) else None))
    worker = worker_on(fleet, "n2")
    mine = [name for name, owner in before.items() if owner[0] == worker]
    assert mine, "each of three workers has some of six streams"
    fleet.kill_node("n2")
    fleet.wait(
        "it is missed",
        lambda told: [n for n in told["notes"] if n["what"] == "down" and n["worker"] == worker],
    )
    wait_for_answers(fleet, mine, {name: before[name][1] + 1 for name in before}, depth=2)
    after = owners(fleet.status())
    assert {name for name in before if after[name] != before[name]} == set(mine)
    assert worker not in {owner for owner, _ in after.values()}
    back_ns = time.time_ns()
    fleet.add_node("n2")
    fleet.wait("each has streams again", lambda told: is_settled(told) and len(counts(told)) == 3)
    moved = [n["stream"] for n in fleet.status()["notes"] if n["what"] == "moved" and n["time_ns"] > back_ns]
    assert len(moved) == len(set(moved)) >= 1, "none of a stream twice"


def stop_the_coordinator_for_a_while(fleet: Fleet) -> None:
    """Longer than a lease: it has heard nobody, and takes nobody for dead because of that."""
    before = fleet.wait("all is well", lambda told: told if is_settled(told) else None)
    process = fleet.coordinator_process()
    process.suspend()
    wait_for_answers(fleet, STREAMS, {name: owner[1] for name, owner in owners(before).items()})
    time.sleep(LONGER_THAN_A_LEASE_S)
    process.resume()
    wait_for_answers(fleet, STREAMS, {name: owner[1] for name, owner in owners(before).items()})
    after = fleet.status()
    assert owners(after) == owners(before)
    assert after["notes"] == before["notes"]


def kill_the_coordinator(fleet: Fleet) -> None:
    """Streams go on meanwhile; the next one finds who owns what."""
    before = owners(fleet.wait("all is well", lambda told: told if is_settled(told) else None))
    fleet.coordinator_process().kill()
    wait_for_answers(fleet, STREAMS, {name: owner[1] for name, owner in before.items()})
    assert owners(fleet.wait("it is back", lambda told: told if is_settled(told) else None)) == before
    assert not [note for note in fleet.status()["notes"] if note["what"] in ("moved", "down")]


def kill_the_coordinator_and_the_agents_of_its_node(fleet: Fleet) -> None:
    """Nobody is left who was told of the camera that was added, and of the node that was drained."""
    worker = worker_on(fleet, "n3")
    fleet_command(fleet, "add", "late", str(fleet.predictions.parent / "film.mp4"), "--fleet", "rig")
    fleet_command(fleet, "drain", fleet.nodes["n3"].node_id[:12], "--fleet", "rig")
    before = owners(fleet.wait("all is well", lambda told: told if is_settled(told) else None))
    capture = fleet.status()["workers"]["capture"]["pid"]
    killed = [fleet.coordinator_process(), psutil.Process(capture).parent()]
    for process in killed:
        assert process
        process.kill()
    told = fleet.wait(
        "capture reads all again",
        lambda told: told if told["workers"]["capture"].get("streams") == len(STREAMS) + 1 else None,
    )
    assert told["workers"]["capture"]["pid"] != capture
    told = fleet.wait("all is well", lambda told: told if is_settled(told) else None)
    assert owners(told) == before
    assert told["workers"][worker]["drain"] == "drained"
    wait_for_answers(fleet, [*STREAMS, "late"], {name: owner[1] for name, owner in before.items()})
    fleet_command(fleet, "undrain", fleet.nodes["n3"].node_id, "--fleet", "rig")
    fleet_command(fleet, "remove", "late", "--fleet", "rig")
    fleet.wait("each has streams again", lambda told: is_settled(told) and len(counts(told)) == 3)


def drain_a_node(fleet: Fleet) -> None:
    """All streams leave it with their memory, and no frame is lost."""
    before = owners(fleet.wait("all is well", lambda told: told if is_settled(told) else None))
    worker = worker_on(fleet, "n1")
    mine = [name for name, owner in before.items() if owner[0] == worker]
    told = fleet_command(fleet, "drain", fleet.nodes["n1"].node_id[:12], "--fleet", "rig")
    assert re.fullmatch(rf"(waiting for \d streams? to move\n)?{worker}: no streams left\n", told)
    notes = [n for n in fleet.status()["notes"] if n["what"] == "moved" and n.get("source") == worker]
    assert sorted(note["stream"] for note in notes[-len(mine) :]) == sorted(mine)
    assert {note["memory"] for note in notes[-len(mine) :]} == {"taken"}
    wait_for_answers(fleet, mine, {name: before[name][1] + 1 for name in before}, depth=2)
    assert fleet_command(fleet, "undrain", worker, "--fleet", "rig").startswith(worker)
    assert len(fleet.status()["workers"]) == 5, "nobody was started in its place"
    fleet.wait("each has streams again", lambda told: is_settled(told) and len(counts(told)) == 3)


def test_a_fleet_on_four_nodes(place: Path) -> None:
    need_module("ray", "ray")
    model = [text for text in quick_model() if text != "--set"]
    policy = "settle_s = 5.0\nsteady_s = 2.0"
    with ray_fleet(
        place, 6, 3, fps=4.0, options=[*model, "capture.replay_ms=2500"], placement=policy
    ) as fleet:
        fleet.wait("all are placed", lambda told: is_settled(told) and len(counts(told)) == 3)
        wait_for_answers(fleet, STREAMS, dict.fromkeys(STREAMS, 0), depth=2)
        check_commands(fleet)
        drain_a_node(fleet)
        stop_the_coordinator_for_a_while(fleet)
        kill_the_coordinator(fleet)
        kill_a_node(fleet)
        kill_the_coordinator_and_the_agents_of_its_node(fleet)
        fleet_command(fleet, "down", "--fleet", "rig")
        fleet_command(fleet, "status", "--fleet", "rig", code=2)
        report = fleet.report(1.0, final=True)
        answers = [one for _, one in fleet.answers()]
    frames = Counter((one["stream_id"], one["epoch"], one["seq"], one["capture_ns"]) for one in answers)
    twice = [frame for frame, count in frames.items() if count > 1]
    assert twice == []
    lost: Counter[str] = Counter()
    for name in STREAMS:
        stats = report["streams"][name]
        assert stats["unaccounted"] == 0, (name, stats)
        assert stats["captured"] == stats["rendered"] + sum(stats["dropped"].values()), (name, stats)
        lost.update(stats["not_predicted"])
    assert lost["lost.worker_restart"] > 0, lost
    assert report["streams"]["late"]["not_predicted"] == {}
