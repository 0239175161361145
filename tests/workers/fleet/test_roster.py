import pytest

from pipeline.flow.worker_load import WorkerLoad
from tests.workers.fleet.beats import S, beat
from workers.fleet.beat import Place
from workers.fleet.roster import Roster

FRAMES, PREDICTIONS = "tcp://10.0.0.9:5000", "tcp://10.0.0.1:5001"


def heard(*beats, lease_s=1.5, now_ns=0):
    roster = Roster(lease_s)
    for one in beats:
        roster.take(one, now_ns)
        roster.comes_up(one.worker)
    return roster


def test_a_worker_is_up_from_its_first_beat_that_says_so():
    roster = Roster(1.5)
    assert roster.take(beat(state="starting", session=0), 0) == ""
    assert not roster.comes_up("inference-1")
    assert not roster.is_up("inference-1")
    assert roster.take(beat(), 0) == ""
    assert roster.comes_up("inference-1")
    assert roster.is_up("inference-1")
    assert not roster.comes_up("inference-1"), "it comes up once"


@pytest.mark.parametrize(
    ("next_beat", "went"),
    [
        (beat(), ""),
        (beat(pid=101, restarts=1), ""),
        (beat(state="down"), "it died or hung"),
        (beat(session=2), "it was restarted"),
        (beat(session=2, state="starting"), "it was restarted"),
        (beat(place=Place("node-2", "10.0.0.2")), "it was restarted"),
    ],
)
def test_a_worker_goes_down_once(next_beat, went):
    roster = heard(beat())
    assert roster.take(next_beat, S) == went
    assert roster.take(next_beat, S) == ""
    assert roster.comes_up("inference-1") == bool(went and next_beat.state == "ready")


def look_until(roster, now_ns, from_ns=0):
    """Looks each tenth of a second; who has expired."""
    return [name for at_ns in range(from_ns, now_ns + 1, S // 10) for name in roster.expired(at_ns)]


def test_a_lease_expires_once_and_a_beat_renews_it():
    roster = heard(beat(), beat("sink"), beat("capture", state="down"))
    assert look_until(roster, S) == []
    roster.take(beat(), S)
    assert look_until(roster, int(1.5 * S), S) == []
    assert roster.expired(int(1.5 * S) + 1) == {"sink": 1.5}
    assert roster.expired(int(1.5 * S) + 1) == {}
    assert roster.up("sink") == []
    assert roster.about("sink", 2 * S)["state"] == "not heard"
    assert [known.beat.worker for known in roster.up()] == ["inference-1"]
    assert roster.take(beat("sink"), 2 * S) == ""
    assert roster.comes_up("sink")


def test_who_asks_and_has_stood_still_takes_nobody_for_dead_at_once():
    roster = heard(beat())
    assert look_until(roster, S // 10) == []
    assert roster.expired(60 * S) == {}, "nobody was asked meanwhile"
    assert look_until(roster, 61 * S, 60 * S + S // 10) == ["inference-1"]


def test_one_that_was_slow_lately_is_given_more_time():
    roster = heard(beat(), beat("sink"))
    assert look_until(roster, S) == []
    for name in ("inference-1", "sink"):
        roster.take(beat(name), S)
    assert roster.about("sink", S)["lease_s"] == 3.0
    roster.take(beat("sink", session=2), S + 1)
    roster.comes_up("sink")
    assert roster.about("sink", S)["lease_s"] == 1.5, "another process has its own time"
    assert look_until(roster, 4 * S, S + S // 10) == ["sink"]
    assert look_until(roster, 4 * S + S // 5, 4 * S + S // 10) == ["inference-1"]
    assert roster.take(beat(), 5 * S) == ""
    assert roster.comes_up("inference-1")
    assert roster.about("inference-1", 5 * S)["lease_s"] == 6.0, "four leases at most"
    roster.take(beat(), 60 * S)
    assert roster.about("inference-1", 60 * S)["lease_s"] == 6.0
    roster.take(beat(), 66 * S)
    assert roster.about("inference-1", 66 * S)["lease_s"] == 1.5, "a minute ago is long ago"


def test_who_was_never_heard_or_no_longer_answers_is_missing():
    roster = heard(beat(), beat("sink", state="starting", session=0))
    assert [roster.is_missing(name) for name in ("inference-1", "sink", "nobody")] == [False, False, True]
    look_until(roster, 2 * S)
    assert roster.is_missing("inference-1")
    roster.take(beat(state="starting", session=2), 3 * S)
    assert not roster.is_missing("inference-1"), "it is being restarted"


def test_who_misses_beats_is_silent_and_is_lost_unless_it_was_heard_since():
    roster = heard(beat(), beat("sink"), beat("capture", state="down"))
    roster.take(beat(), S // 2)
    assert roster.silent(S // 2, 0.5) == []
    [known] = roster.silent(S // 2 + 1, 0.5)
    assert (known.beat.worker, known.heard_ns) == ("sink", 0)
    assert not roster.lose("inference-1", 0), "it was heard since"
    assert roster.lose("sink", 0)
    assert not roster.lose("sink", 0), "it is lost once"
    assert not roster.lose("capture", 0)
    assert not roster.lose("nobody", 0)
    assert [known.beat.worker for known in roster.up()] == ["inference-1"]


def test_workers_connect_to_all_that_are_known_and_again_when_they_or_those_change():
    roster = heard(beat(endpoints={"predictions": PREDICTIONS}), beat("sink"))
    assert roster.to_connect() == [], "nobody captures yet: there is nobody to connect to"
    roster.take(beat("capture", endpoints={"frames": FRAMES}), 0)
    of_inference, of_sink = {"frames": [FRAMES]}, {"frames": [FRAMES], "predictions": [PREDICTIONS]}
    assert roster.to_connect() == [("inference-1", of_inference), ("sink", of_sink)]
    roster.connected("sink", of_sink)
    assert roster.to_connect() == [("inference-1", of_inference)]
    roster.connected("inference-1", of_inference)
    assert roster.to_connect() == []
    other = "tcp://10.0.0.2:5001"
    roster.take(beat("inference-2", endpoints={"predictions": other}), 0)
    assert roster.to_connect() == [("sink", of_sink | {"predictions": [PREDICTIONS, other]})]
    roster.take(beat(session=2, endpoints={"predictions": PREDICTIONS}), 0)
    roster.comes_up("inference-1")
    assert [name for name, _ in roster.to_connect()] == ["inference-1", "sink"], "a new process knows nobody"
    roster.connected("nobody", {})


def test_those_that_are_down_stay_in_the_links_of_others():
    roster = heard(beat(endpoints={"predictions": PREDICTIONS}))
    roster.take(beat(state="down", endpoints={"predictions": PREDICTIONS}), 0)
    assert roster.endpoints()["predictions"] == [PREDICTIONS]
    roster.forget("inference-1")
    assert roster.endpoints()["predictions"] == []
    assert roster.about("inference-1", 0)["state"] == "waits", "as if it was never heard of"


@pytest.mark.parametrize(
    ("node", "names"),
    [
        ("inference-2", ["inference-2"]),
        ("10.0.0.1", ["inference-1", "inference-2"]),
        ("node-2", ["inference-3"]),
        ("node", ["inference-1", "inference-2", "inference-3"]),
        ("sink", []),
        ("", []),
        ("10.0.0.", []),
    ],
)
def test_a_node_has_an_id_an_address_and_workers(node, names):
    there = Place("node-2", "10.0.0.2")
    roster = heard(beat("inference-2"), beat("inference-1"), beat("inference-3", place=there), beat("sink"))
    assert roster.on_node(node, "inference") == names


def test_what_there_is_to_say():
    load = WorkerLoad("inference-1", 0.12345, {})
    roster = heard(beat(streams={"gate": 3}, load=load))
    assert roster.about("inference-1", S // 2) == {
        "state": "ready",
        "node": "node-1",
        "host": "10.0.0.1",
        "pid": 100,
        "restarts": 0,
        "heard_s": 0.5,
        "lease_s": 1.5,
        "streams": 1,
        "busy": 0.123,
    }
    assert roster.about("inference-9", 0) == {"state": "waits"}
