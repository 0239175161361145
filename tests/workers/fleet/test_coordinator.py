"""A coordinator with real agents and real workers on this machine, without Ray."""

import os
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.flow.fleet_policy import FleetPolicy
from pipeline.flow.scaling import ScalingPolicy
from pipeline.flow.worker_load import PressureLimits
from tests.support import until
from tests.workers.fleet.local_fleet import LocalFleet
from workers.fleet.camera_list import FleetError
from workers.fleet.fleet_file import Fleet, InferenceAgents

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PAIR = ("inference-1", "inference-2")


@pytest.fixture(scope="module")
def fleet() -> Iterator[LocalFleet]:
    scaling = ScalingPolicy(least=2, most=2)
    placement = FleetPolicy(steady_s=0.0, settle_s=0.5)
    with tempfile.TemporaryDirectory(prefix="kvq-") as place:
        running = LocalFleet(
            Path(place), Fleet(lease_s=1.0, inference=InferenceAgents(scaling=scaling), placement=placement)
        )
        yield running
        running.close()


def ids(answers: list[dict[str, Any]]) -> Counter[tuple[str, int, int]]:
    return Counter((one["stream_id"], one["epoch"], one["seq"]) for one in answers)


def other(worker: str) -> str:
    return PAIR[1 - PAIR.index(worker)]


def test_a_coordinator_that_starts_again_finds_its_table(fleet: LocalFleet) -> None:
    streams = ("found-a", "found-b", "found-c")
    with fleet.cameras(*streams):
        before = fleet.wait_until_placed(*streams)
        fleet.kill_coordinator()
        fleet.wait_for_answers(3, *streams)
        fleet.start_coordinator()
        assert fleet.wait_until_placed(*streams) == before
        fleet.wait_for_answers(3, *streams)
        assert [note for note in fleet.status()["notes"] if note["what"] in ("moved", "down")] == []
    assert {one["generation"] for one in fleet.answers("found-a")} == {before["found-a"][1]}
    for stream in streams:
        stats = fleet.ledger(stream)
        assert stats["predicted"] == stats["captured"] == stats["rendered"], stats


def test_what_people_asked_for_outlives_the_coordinator_and_capture_together(fleet: LocalFleet) -> None:
    with fleet.cameras("kept", "gone"):
        fleet.coordinator.remove("gone")
        assert fleet.coordinator.drain(PAIR[0]) == [PAIR[0]]
        fleet.wait("it is empty", lambda told: told["workers"][PAIR[0]]["drain"] == "drained")
        before = fleet.wait_until_placed("kept")
        fleet.kill_coordinator()
        fleet.agents.stop("capture")
        fleet.start_coordinator()
        told = fleet.wait(
            "capture is back and reads",
            lambda told: told if told["workers"]["capture"].get("streams") == 1 else None,
        )
        assert list(told["streams"]) == ["kept"]
        assert fleet.wait_until_placed("kept") == before
        assert fleet.status()["workers"][PAIR[0]]["drain"] == "drained"
        fleet.listen()
        fleet.wait_for_answers(3, "kept")
        assert fleet.coordinator.undrain(PAIR[0]) == [PAIR[0]]
        fleet.coordinator.add(fleet.camera("gone"))


def test_a_coordinator_that_starts_without_the_sink_places_what_nobody_has(fleet: LocalFleet) -> None:
    streams = ("lost-a", "lost-b", "lost-c")
    with fleet.cameras(*streams):
        owners = fleet.wait_until_placed(*streams)
        worker, _ = owners["lost-a"]
        mine = [name for name, owner in owners.items() if owner[0] == worker]
        fleet.kill_coordinator()
        fleet.agents.cut_off |= {worker, "sink"}
        fleet.start_coordinator()
        fleet.wait("it says for whom it waits", lambda told: f"waiting for {worker}, " in told["waits"])
        after = fleet.wait_until_placed(*streams)
        assert fleet.status()["waits"] == ""
        assert {after[name] for name in mine} == {(other(worker), owners[name][1] + 1) for name in mine}
        assert {name: after[name] for name in streams if name not in mine} == {
            name: owner for name, owner in owners.items() if name not in mine
        }
        assert "lost-a" in fleet.agents.running[worker].beat().streams, "nobody can tell it yet"
        fleet.wait_for_answers(3, *streams)
        fleet.agents.cut_off.clear()
        fleet.wait(
            "it leaves them",
            lambda _: fleet.agents.running[worker].beat().streams.get("lost-a") != owners["lost-a"][1],
        )
        fleet.wait_for_answers(3, *streams)
    for stream in streams:
        got = [one["generation"] for one in fleet.answers(stream)]
        assert got == sorted(got)
    assert max(ids(fleet.answers(*streams)).values()) == 1, "no frame is predicted twice"
    assert fleet.ledger("lost-a")["unaccounted"] == 0


def test_a_worker_that_is_cut_off_loses_its_streams_and_is_not_believed(fleet: LocalFleet) -> None:
    streams = ("cut-a", "cut-b")
    with fleet.cameras(*streams):
        owners = fleet.wait_until_placed(*streams)
        worker, generation = owners["cut-a"]
        mine = [name for name, owner in owners.items() if owner[0] == worker]
        fleet.agents.cut_off.add(worker)
        after = fleet.wait(
            "the other one has them",
            lambda _: {n: o for n, o in fleet.owners(*mine).items() if o[0] != worker} or None,
        )
        assert after["cut-a"] == (other(worker), generation + 1)
        [down, *_] = [note for note in fleet.status()["notes"][::-1] if note["what"] == "down"]
        assert down["worker"] == worker
        assert down["why"].startswith("no answer for ")
        answered = fleet.predicted(worker, "cut-a")
        fleet.wait("it predicts all the same", lambda _: fleet.predicted(worker, "cut-a") >= answered + 5)
        fleet.wait_for_answers(3, *mine)
        assert "cut-a" in fleet.agents.running[worker].beat().streams, "nobody can tell it yet"
        fleet.agents.cut_off.clear()
        fleet.wait(
            "it leaves them",
            lambda _: fleet.agents.running[worker].beat().streams.get("cut-a") != generation,
        )
        fleet.wait_for_answers(3, *streams)
    got = [one["generation"] for one in fleet.answers("cut-a")]
    assert got == sorted(got)
    assert max(ids(fleet.answers(*streams)).values()) == 1, "no frame is predicted twice"
    assert fleet.ledger("cut-a")["unaccounted"] == 0


def test_cameras_come_and_go(fleet: LocalFleet) -> None:
    with fleet.cameras("late"):
        fleet.coordinator.add(fleet.camera("late"))
        with pytest.raises(FleetError, match="another stream is named 'late'"):
            fleet.coordinator.add(fleet.camera("late", policy="every"))
        assert fleet.status()["streams"]["late"]["capture"] == "capture"
        _, generation = fleet.wait_until_placed("late")["late"]
    assert "late" not in fleet.status()["streams"]
    with pytest.raises(FleetError, match="there is no stream 'late'"):
        fleet.coordinator.remove("late")
    stats = fleet.ledger("late")
    assert not any([*stats["dropped"].values(), *stats["not_predicted"].values()]), stats
    assert stats["predicted"] == stats["captured"]
    until(lambda: len(fleet.answers("late")) == stats["captured"], "all are written")
    with fleet.cameras("late"):
        assert fleet.wait_until_placed("late")["late"][1] > generation, "generations never go back"


def test_a_camera_that_capture_refuses_is_told(fleet: LocalFleet) -> None:
    fleet.coordinator.add(fleet.camera("unreadable"))
    fleet.coordinator.remove("unreadable")
    wrong = fleet.camera("unreadable")
    fleet.coordinator.add(type(wrong)(id="unreadable", source="/nosuch.mp4"))
    fleet.wait(
        "it is told",
        lambda told: [n for n in told["notes"] if n["what"] == "refused" and "/nosuch.mp4" in n["why"]],
    )
    fleet.coordinator.remove("unreadable")


def test_a_drained_worker_is_emptied_without_losing_a_frame(fleet: LocalFleet) -> None:
    streams = ("drained-a", "drained-b", "drained-c")
    with fleet.cameras(*streams, policy="every"):
        for worker in PAIR:
            assert fleet.coordinator.drain(worker) == [worker]
            fleet.wait("it is empty", lambda told: told["workers"][worker]["drain"] == "drained")  # noqa: B023
            assert {owner for owner, _ in fleet.wait_until_placed(*streams).values()} == {other(worker)}
            fleet.wait_for_answers(3, *streams)
            assert fleet.coordinator.undrain(worker) == [worker]
            fleet.wait(
                "it has streams again",
                lambda told: worker in [one["worker"] for one in told["streams"].values()],  # noqa: B023
            )
    with pytest.raises(FleetError, match="no inference worker runs on 'nowhere'"):
        fleet.coordinator.drain("nowhere")
    for stream in streams:
        stats = fleet.ledger(stream)
        assert not any([*stats["dropped"].values(), *stats["not_predicted"].values()]), stats
        assert stats["predicted"] == stats["captured"] == stats["rendered"], stats
        until(lambda: len(fleet.answers(stream)) == stats["captured"], "all are written")  # noqa: B023
    answers = fleet.answers(*streams)
    assert max(ids(answers).values()) == 1, "no frame is predicted twice"
    assert len({one["generation"] for one in answers if one["stream_id"] == "drained-a"}) > 1


def test_streams_of_a_dead_worker_that_nobody_speaks_for_do_not_wait_for_the_end_of_its_lease(
    place: Path,
) -> None:
    """Its machine refuses connections to its port; its agent is not heard either."""
    scaling = ScalingPolicy(least=2, most=2)
    fleet = LocalFleet(place, Fleet(lease_s=600.0, inference=InferenceAgents(scaling=scaling)))
    try:
        fleet.coordinator.add(fleet.camera("dead"))
        worker, generation = fleet.wait_until_placed("dead")["dead"]
        fleet.wait_for_answers(3, "dead")
        pid = fleet.agents.running[worker].beat().pid
        assert pid
        fleet.agents.cut_off.add(worker)
        os.kill(pid, signal.SIGKILL)
        fleet.wait(
            "the other one has it",
            lambda _: fleet.owners("dead").get("dead") == (other(worker), generation + 1),
        )
        [down] = [note for note in fleet.status()["notes"] if note["what"] == "down"]
        assert (down["worker"], down["why"]) == (worker, "its port refuses connections")
        fleet.wait_for_answers(3, "dead")
        assert max(ids(fleet.answers("dead")).values()) == 1
    finally:
        fleet.agents.cut_off.clear()
        fleet.close()


def test_more_workers_come_while_predictions_are_late_and_go_when_they_are_idle(place: Path) -> None:
    limits = PressureLimits(age_ms=1.0)
    scaling = ScalingPolicy(
        least=1, most=2, goal_busy=0.001, more_after_s=0.3, more_pause_s=1.0, fewer_after_s=0.5, limits=limits
    )
    placement = FleetPolicy(steady_s=0.0, settle_s=0.5)
    fleet = LocalFleet(
        place, Fleet(lease_s=1.0, inference=InferenceAgents(scaling=scaling), placement=placement)
    )
    try:
        fleet.coordinator.add(fleet.camera("busy"))
        fleet.wait("more are asked for", lambda told: "inference-2" in told["workers"])
        fleet.wait("it works", lambda told: told["workers"]["inference-2"]["state"] == "ready")
        [more] = [note for note in fleet.status()["notes"] if note["what"] == "more"]
        assert more["worker"] == "inference-2"
        assert "ms old" in more["why"]
        fleet.coordinator.remove("busy")
        fleet.wait("one is given back", lambda told: [n for n in told["notes"] if n["what"] == "fewer"])
        fleet.wait("it is gone", lambda _: len(fleet.agents.running) == 3)
        names = {name for name in fleet.status()["workers"] if name.startswith("inference")}
        assert names == set(fleet.agents.names()) - {"sink", "capture"}
        assert len(names) == 1
    finally:
        fleet.close()


def test_no_more_workers_are_asked_for_while_one_waits_for_room(place: Path) -> None:
    limits = PressureLimits(age_ms=1.0)
    scaling = ScalingPolicy(
        least=2, most=3, goal_busy=0.001, more_after_s=0.2, more_pause_s=0.2, limits=limits
    )
    agents = InferenceAgents(scaling=scaling)
    fleet = LocalFleet(place, Fleet(lease_s=1.0, inference=agents), no_room=["inference-2"])
    try:
        fleet.coordinator.add(fleet.camera("busy"))
        fleet.wait_for_answers(10, "busy")
        assert sorted(fleet.status()["workers"]) == ["capture", "inference-1", "inference-2", "sink"]
        assert fleet.status()["workers"]["inference-2"]["why"] == "waits for 1 CPU"
        fleet.agents.no_room.clear()
        fleet.agents.start("inference", "inference-2", agents)
        fleet.wait("more are asked for", lambda told: "inference-3" in told["workers"])
    finally:
        fleet.agents.no_room.clear()
        fleet.agents.start("inference", "inference-2", agents)
        fleet.close()
