import msgspec
import pytest

from pipeline.base.config import StreamConfig
from pipeline.flow.fleet_table import Owner
from tests.workers.fleet.beats import S, beat
from workers.fleet.camera_list import Cameras, FleetError
from workers.fleet.fleet_file import AgentsConfig, Fleet, FleetStream
from workers.fleet.worker_client import Question

GATE = FleetStream(id="gate ü", source="demo", capture="north", pace=True)
YARD = FleetStream(id="yard", source="demo", capture="south")


def cameras(*streams):
    north_and_south = {"north": AgentsConfig(), "south": AgentsConfig()}
    return Cameras(Fleet(capture=north_and_south, streams=list(streams)))


def north(*entries):
    """What the agent of the north says that its worker reads."""
    reads = {entry.id: 0 for entry in entries}
    return beat("capture-north", role="capture", entries=list(entries), streams=reads)


def test_a_capture_worker_is_told_what_it_lacks_and_what_is_no_longer_wanted():
    known = cameras(GATE, YARD)
    [(name, question)] = known.questions(north())
    assert (name, question.method, question.path) == ("gate ü", "POST", "/streams")
    entry = msgspec.convert(question.body, StreamConfig)
    assert (entry.id, entry.source, entry.pace) == ("gate ü", "demo", True)
    assert known.questions(north(entry)) == []
    known.remove("gate ü")
    leave = Question("DELETE", "/streams/gate%20%C3%BC")
    assert known.questions(north(entry)) == [("gate ü", leave)]
    known.add(FleetStream(id="gate ü", source="other", capture="north"))
    assert known.questions(north(entry)) == [("gate ü", leave)], "another one of that name has to go first"


def test_cameras_are_added_once():
    known = cameras(GATE)
    known.add(GATE)
    known.add(YARD)
    assert known.readers == {"gate ü": "capture-north", "yard": "capture-south"}
    with pytest.raises(FleetError, match="another stream is named 'yard': remove it first"):
        known.add(FleetStream(id="yard", source="other", capture="south"))
    with pytest.raises(FleetError, match=r"no \[capture\.west\]; available: north, south"):
        known.add(FleetStream(id="west", source="demo", capture="west"))
    with pytest.raises(FleetError, match="set capture to one of"):
        known.add(FleetStream(id="west", source="demo"))
    with pytest.raises(FleetError, match="there is no stream 'west'"):
        known.remove("west")
    assert list(known) == ["gate ü", "yard"]
    other = cameras()
    other.present = known.present
    assert other.readers == known.readers


def test_what_there_is_to_say():
    owners = {"yard": Owner("inference-1", 3, S, "new stream"), "gone": Owner("inference-1", 0, S, "")}
    told = cameras(YARD, GATE).about(owners, {"yard": "inference-2"}, 3 * S)
    assert list(told.items()) == [
        (
            "gate ü",
            {
                "capture": "capture-north",
                "moving_to": None,
                "worker": None,
                "generation": None,
                "since_s": None,
                "why": "not assigned yet",
            },
        ),
        (
            "yard",
            {
                "capture": "capture-south",
                "moving_to": "inference-2",
                "worker": "inference-1",
                "generation": 3,
                "since_s": 2.0,
                "why": "new stream",
            },
        ),
    ]
