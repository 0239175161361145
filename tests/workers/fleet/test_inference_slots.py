from pipeline.flow.scaling import ScalingPolicy
from workers.fleet.fleet_file import InferenceAgents
from workers.fleet.inference_slots import InferenceSlots


class Started:
    """Agents that only note that they are started."""

    def __init__(self):
        self.names = []

    def start(self, role, name, where):
        assert role == "inference"
        self.names.append(name)


def slots(least, *found):
    agents = Started()
    config = InferenceAgents(scaling=ScalingPolicy(least=least, most=9))
    made = InferenceSlots(agents, config)
    assert made.names == set()
    made.begin(found)
    return made, agents


def test_the_fewest_are_started():
    made, agents = slots(2)
    assert agents.names == ["inference-1", "inference-2"]
    assert made.start_one() == "inference-3"
    assert made.names == {"inference-1", "inference-2", "inference-3"}


def test_those_that_are_there_go_on_and_no_name_is_used_twice():
    made, agents = slots(3, "sink", "capture", "inference-2", "inference-4")
    assert agents.names == ["inference-2", "inference-4", "inference-5"]
    made.leaving.add("inference-5")
    made.forget("inference-5")
    assert (made.names, made.leaving) == ({"inference-2", "inference-4"}, set())
    assert made.start_one() == "inference-6"
