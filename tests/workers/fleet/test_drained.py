from tests.workers.fleet.beats import beat
from workers.fleet.beat import Place
from workers.fleet.drained import Drained
from workers.fleet.roster import Roster

LEFT, RIGHT = Place("abc123", "10.0.0.7"), Place("def456", "10.0.0.8")


def roster():
    made = Roster(1.5)
    made.take(beat("inference-1", place=LEFT), 0)
    made.take(beat("inference-2", place=RIGHT), 0)
    return made


def test_a_node_is_drained_whatever_worker_is_there_later():
    drained = Drained()
    assert drained.add("10.0.0.7", roster()) == ["inference-1"]
    assert drained.has(beat("inference-9", place=LEFT))
    assert not drained.has(beat("inference-1", place=RIGHT)), "started elsewhere it may have streams"
    assert not drained.remove("10.0.0.8", roster())
    assert drained.remove("abc", Roster(1.5)), "also when nobody is there any more"
    assert not drained.has(beat("inference-9", place=LEFT))
    drained.add("10.0.0.7", roster())
    assert drained.remove("inference-1", roster()), "by the name of who is there"


def test_one_worker_is_drained_by_its_name():
    drained = Drained()
    assert drained.add("inference-2", roster()) == ["inference-2"]
    assert drained.has(beat("inference-2", place=LEFT))
    assert not drained.has(beat("inference-3", place=RIGHT))
    assert drained.remove("inference-2", roster())
    assert drained.add("nowhere", roster()) == []
