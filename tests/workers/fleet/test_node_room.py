import pytest

from workers.fleet.fleet_file import AgentsConfig
from workers.fleet.node_room import NodeRoom, waits_for

A = NodeRoom("10.0.0.1", {"part": "cameras"}, 1.0, 0.0)
B = NodeRoom("10.0.0.2", {}, 0.0, 0.5)
CAMERAS = {"part": "cameras"}


@pytest.mark.parametrize(
    ("where", "text"),
    [
        (AgentsConfig(cpus=2), "waits for 2 CPUs; free: 1 on 10.0.0.1, 0 on 10.0.0.2"),
        (AgentsConfig(cpus=0, gpus=1), "waits for 1 GPU; free: 0.5 on 10.0.0.2, 0 on 10.0.0.1"),
        (
            AgentsConfig(cpus=1, gpus=0.5),
            "waits for 1 CPU and 0.5 GPUs; free: 0 CPUs and 0.5 GPUs on 10.0.0.2, "
            "1 CPU and 0 GPUs on 10.0.0.1",
        ),
        (
            AgentsConfig(cpus=2, labels=CAMERAS),
            "waits for 2 CPUs on a node labelled part=cameras; free: 1 on 10.0.0.1",
        ),
        (AgentsConfig(labels={"part": "door"}), "waits for 1 CPU: no node is labelled part=door"),
        (
            AgentsConfig(labels={"part": "!cameras"}),
            "waits for 1 CPU on a node labelled part=!cameras; free: 0 on 10.0.0.2",
        ),
        (AgentsConfig(cpus=1), ""),
        (AgentsConfig(labels={"part": "in(door, cameras)"}), ""),
        (AgentsConfig(cpus=0), ""),
    ],
)
def test_what_is_needed_and_what_is_free(where, text):
    assert waits_for(where, [A, B]) == text


def test_a_large_cluster_is_cut_short():
    nodes = [NodeRoom(f"10.0.0.{n}", {}, n / 10, 0.0) for n in range(12)]
    line = waits_for(AgentsConfig(cpus=2), nodes)
    assert line.startswith("waits for 2 CPUs; free: 1.1 on 10.0.0.11, 1 on 10.0.0.10, ")
    assert line.endswith("0.4 on 10.0.0.4, 4 more nodes have less")
    assert waits_for(AgentsConfig(), []) == "waits for 1 CPU: no node is up"
