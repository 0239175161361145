"""Agents as actors of a real Ray cluster of one node."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.base.config import load_config
from tests.support import need_module, until
from tests.workers.program import START_S
from workers.fleet.beat import Beat
from workers.fleet.fleet_file import AgentsConfig
from workers.fleet.ray_agents import RayAgents
from workers.fleet.ray_cluster import connect, kv, ray

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(200),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray", "ignore::DeprecationWarning:ray"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    need_module("ray", "ray")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    try:
        connect("agents", made.address)
        yield made
    finally:
        ray().shutdown()
        made.shutdown()


def quiet() -> bytes:
    return msgspec.json.encode(
        load_config(None, ["run.output_dir=", "sink.web=false", "security.insecure=true"])
    )


def agents(config: bytes, place: Path, owner: str = "this") -> RayAgents:
    return RayAgents("agents", config, str(place), 0.1, owner)


def test_what_is_kept_is_there_for_the_next_one_of_the_same_owner(cluster: Any, place: Path) -> None:
    made = agents(quiet(), place)
    assert made.kept() is None
    made.keep(b"one")
    made.keep(b"two \x00")
    assert agents(quiet(), place).kept() == b"two \x00"
    assert agents(quiet(), place, "other").kept() is None
    kv()._internal_kv_del("", del_by_prefix=True, namespace="kvq-agents")


def test_an_agent_of_another_version_says_why_it_can_not_begin(cluster: Any, place: Path) -> None:
    of_another = quiet().replace(b"{", b'{"hovering":3,', 1)
    made = agents(of_another, place)
    made.start("sink", "sink", AgentsConfig())
    try:
        told = until(lambda: not made.beats() and made.trouble("sink"), "it is told", START_S)
    finally:
        made.stop("sink")
    host = cluster.head_node.node_ip_address
    assert told.startswith(f"can't start on {host} (msgspec.ValidationError: Object contains unknown field")  # type: ignore[attr-defined]
    assert "hovering" in told  # type: ignore[operator]
    assert told.endswith("): does it run the same version of this program?")  # type: ignore[attr-defined]
    assert made.trouble("sink") == "", "nobody asks for it any more"


def test_one_that_works_has_no_trouble(cluster: Any, place: Path) -> None:
    made = agents(quiet(), place)
    made.start("sink", "sink", AgentsConfig())
    try:
        said: list[Beat] = []
        until(
            lambda: said.extend(made.beats()) or any(beat.state == "ready" for beat in said),
            "it is ready",
            START_S,
            lambda: f"{made.trouble('sink')} {said[-1:]}",
        )
        assert made.trouble("sink") == ""
        assert made.names() == ["sink"]
    finally:
        made.stop("sink")
