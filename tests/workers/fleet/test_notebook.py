import pytest

from tests.workers.fleet.beats import beat
from tests.workers.fleet.kept_here import KeptHere
from workers.fleet.camera_list import FleetError
from workers.fleet.fleet_file import Fleet, FleetStream
from workers.fleet.notebook import Notebook
from workers.fleet.roster import Roster

GATE, YARD = FleetStream(id="gate", source="demo"), FleetStream(id="yard", source="rtsp://a:b@camera/1")
FLEET = Fleet(streams=[GATE])


def roster():
    made = Roster(1.5)
    made.take(beat("inference-1"), 0)
    return made


def add_and_drain(notebook, remove="gate"):
    with notebook.changing():
        notebook.cameras.add(YARD)
        notebook.drained.add("inference-1", roster())
        notebook.cameras.remove(remove)


def test_the_next_one_goes_on_from_what_was_kept():
    agents = KeptHere()
    first = Notebook(FLEET, agents)
    assert first.read() == {}
    assert list(first.cameras) == ["gate"]
    with first.changing():
        first.cameras.add(YARD)
        first.cameras.remove("gate")
    with first.changing():
        assert first.drained.add("10.0.0.1", roster()) == ["inference-1"]
    first.write({"yard": (3, 4)})
    second = Notebook(FLEET, agents)
    assert second.read() == {"yard": (3, 4)}
    assert second.cameras.present == [YARD]
    assert second.drained.has(beat("inference-9"))
    with second.changing():
        assert second.drained.remove("10.0.0.1", roster())
    third = Notebook(FLEET, agents)
    assert third.read() == {"yard": (3, 4)}, "what is changed later does not undo it"
    assert not third.drained.has(beat("inference-9"))


def test_what_can_not_be_kept_is_not_done():
    agents = KeptHere()
    notebook = Notebook(FLEET, agents)
    agents.is_full = True
    with pytest.raises(FleetError, match=r"not changed: storing failed \(OSError: no room\)"):
        add_and_drain(notebook)
    assert list(notebook.cameras) == ["gate"]
    assert not notebook.drained.has(beat("inference-1"))
    with pytest.raises(OSError, match="no room"):
        notebook.write({"gate": (0, 0)})
    agents.is_full = False
    notebook.write({"gate": (0, 0)})
    assert Notebook(FLEET, agents).read() == {"gate": (0, 0)}


def test_what_is_refused_changes_nothing():
    notebook = Notebook(FLEET, KeptHere())
    with pytest.raises(FleetError, match="there is no stream 'west'"):
        add_and_drain(notebook, remove="west")
    assert list(notebook.cameras) == ["gate"]
    assert not notebook.drained.has(beat("inference-1"))


def test_what_is_as_it_was_is_not_kept_again():
    agents = KeptHere()
    notebook = Notebook(FLEET, agents)
    notebook.write({})
    assert agents.text is None
    notebook.write({"gate": (0, 0)})
    agents.is_full = True
    notebook.write({"gate": (0, 0)})
    again = Notebook(FLEET, agents)
    again.write(again.read())


def test_what_another_version_has_kept_is_told_in_one_line():
    agents = KeptHere()
    agents.text = b'{"cameras": 3}'
    with pytest.raises(FleetError, match=r"can't be read \(.*cameras.*\): run `fleet down`, then `fleet up`"):
        Notebook(FLEET, agents).read()
