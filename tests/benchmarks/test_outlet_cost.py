"""What word to the outside costs, for real but short."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.outlet_cost import Receiver, Run, run, summary
from tests.rigs.broker import need_broker
from tests.support import need_module

RUN = Run(False, 10.0, 100, 0, None, 0, {})
SENDS = replace(RUN, sends=True, events=5, receivers={"home": Receiver(5, 3, 1, 1, 1)})


@pytest.mark.slow
def test_all_receivers_of_a_run_are_counted(place: Path) -> None:
    need_broker()
    need_module("apprise", "apprise")
    found = run(place / "run", 90, True, ("--set", "inference.checkpoint=motion_resnet18"))
    assert (found.sends, found.frames, found.not_shown) == (True, 90, 0)
    assert found.events
    assert found.predictions_per_s > 0
    assert set(found.receivers) == {"home", "shaky", "hangs", "phone"}
    for name, receiver in found.receivers.items():
        assert (receiver.told, receiver.twice, receiver.lost) == (found.events, 0, 0), name
        assert receiver.received + receiver.waiting == found.events
    assert found.receivers["home"].received == found.events
    assert found.receivers["hangs"].waiting == found.events


def test_ratios_are_those_of_pairs_and_of_neighbours_of_one_kind() -> None:
    slower = replace(SENDS, predictions_per_s=9.0, not_shown=2)
    found = summary(
        [RUN, slower, replace(slower, predictions_per_s=9.9), replace(RUN, predictions_per_s=11.0)]
    )
    assert found["ratio"] == {"median": 0.9, "min": 0.9, "max": 0.9}
    assert found["repeat"] == {"median": 1.1, "min": 1.1, "max": 1.1}
    assert found["predictions_per_s"] == {"without": 10.5, "with": 9.45}
    assert (found["frames"], found["not_shown"], found["events"]) == (400, 4, 10)
    assert (found["twice"], found["lost"]) == (2, 2)
