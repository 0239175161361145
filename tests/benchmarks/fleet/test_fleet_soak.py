"""Nodes are killed and come back; half an hour of it: ``python -m benchmarks.fleet.fleet_soak``."""

from pathlib import Path

import pytest

from benchmarks.fleet.fleet_soak import soak
from tests.support import need_module
from tests.workers.pipeline import quick_model

KILLS = 10


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_fleet_that_loses_nodes_stays_balanced_and_flat(place: Path) -> None:
    need_module("ray", "ray")
    model = [text for text in quick_model() if text != "--set"]
    options = (*model, "capture.replay_ms=2500")
    found = soak(place, seconds=800, kills=KILLS, streams=6, options=options)
    assert found["kills"] == KILLS
    assert (found["twice"], found["unaccounted"]) == (0, 0), found
    assert found["moves"] >= KILLS, found
    assert found["captured"] > 0
    for name, (begin_mb, end_mb) in found["memory_mb"].items():
        assert end_mb < 1.25 * begin_mb + 30, (name, found["memory_mb"])
