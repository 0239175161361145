from pipeline.base.clock import now_ns
from workers.fleet.fleet_notes import Notes


def test_the_newest_stay_and_what_is_empty_is_left_out():
    notes, before = Notes(), now_ns()
    for number in range(300):
        notes.add("moved", stream=f"cam{number}", generation=0, source="", worker=None)
    newest = notes.newest
    assert len(newest) == 200
    assert newest[-1].pop("time_ns") >= before
    assert newest[-1] == {"what": "moved", "stream": "cam299", "generation": 0}
