import threading

import pytest

from pipeline.base.clock import now_ns
from pipeline.flow.fleet_policy import FleetPolicy
from pipeline.flow.fleet_table import Move
from pipeline.flow.scaling import ScalingPolicy
from tests.support import until
from tests.workers.fleet.beats import S, beat
from tests.workers.fleet.kept_here import KeptHere
from workers.fleet.errands import Errands
from workers.fleet.fleet_file import Fleet, FleetStream, InferenceAgents
from workers.fleet.fleet_notes import Notes
from workers.fleet.inference_slots import InferenceSlots
from workers.fleet.notebook import Notebook
from workers.fleet.questions import Questions
from workers.fleet.roster import Roster
from workers.fleet.stream_move import Moved
from workers.fleet.stream_owners import _MOVES, StreamOwners


class Two:
    """The owners of a fleet of two inference workers, which do what they are told."""

    def __init__(self, *streams, kept=None):
        self.agents = KeptHere()
        self.agents.text = kept
        fleet = Fleet(streams=[FleetStream(id=name, source="demo") for name in streams])
        self.slots = InferenceSlots(self.agents, InferenceAgents(scaling=ScalingPolicy(least=2)))
        self.roster, self.notes = Roster(1.5), Notes()
        self.notebook = Notebook(fleet, self.agents)
        self.lock = threading.RLock()
        self.errands = Errands(self.lock)
        questions = Questions(self.agents, self.roster, self.errands, self.notes)
        self.owners = StreamOwners(
            FleetPolicy(steady_s=0.0),
            self.slots,
            self.roster,
            self.notebook,
            questions,
            self.errands,
            self.notes,
        )
        read = self.notebook.read()
        self.slots.begin(())
        self.owners.begin(read, is_new=kept is None)

    def hear(self, name, now_ns=0, **about):
        told = beat(name, **about)
        self.roster.take(told, now_ns)
        self.owners.heard(told, now_ns, came_up=self.roster.comes_up(name))

    def tend(self, now_ns):
        with self.lock:
            self.owners.tend(now_ns)

    def place(self, now_ns=0):
        """Has all streams placed."""
        self.tend(now_ns)
        until(lambda: not self.owners.table.moving, "all moves are made")
        return {name: (one.worker, one.generation) for name, one in self.owners.table.owners.items()}


def test_a_new_fleet_waits_for_its_workers_and_not_for_ever():
    two = Two("gate")
    assert two.owners.waits_for(0) == "no streams are placed until an inference worker is ready"
    assert not two.owners.is_settled(100 * S)
    two.hear("inference-1", S)
    assert not two.owners.is_settled(S)
    waits = "no streams are placed yet: waiting for inference-2, at most 10 s more"
    assert two.owners.waits_for(S) == waits
    assert not two.owners.is_settled(11 * S - 1)
    assert two.owners.is_settled(11 * S)
    assert two.owners.waits_for(11 * S) == ""
    assert two.place(11 * S) == {"gate": ("inference-1", 0)}


def test_all_are_there():
    two = Two("gate", "yard")
    two.hear("inference-1")
    two.hear("inference-2")
    assert two.owners.is_settled(0)
    assert set(two.place().values()) == {("inference-1", 0), ("inference-2", 0)}
    assert (two.owners.carried("inference-1"), two.owners.carried("inference-3")) == (1, 0)


def test_a_generation_is_kept_before_it_is_given_out():
    two = Two("gate")
    two.hear("inference-1")
    two.hear("inference-2")
    assert two.owners.is_settled(0)
    two.agents.is_full = True
    with pytest.raises(OSError, match="no room"):
        two.tend(0)
    assert two.agents.asked == []
    assert two.owners.table.moving == [], "it is tried again"
    two.agents.is_full = False
    [(_, generation)] = two.place().values()
    assert Two(kept=two.agents.text).notebook.read() == {"gate": (generation, generation)}


def test_the_next_coordinator_gives_no_generation_out_again_and_believes_no_former_owner():
    first = Two("lost", "moving", "kept", "stale")
    first.notebook.write({"lost": (4, 4), "moving": (0, 1), "kept": (2, 3), "stale": (7, 7)})
    two = Two("lost", "moving", "kept", "stale", kept=first.agents.text)
    two.hear("inference-1", streams={"kept": 2, "stale": 6})
    assert not two.owners.is_settled(3 * S - 1), "the other one may have streams"
    assert two.owners.is_settled(3 * S)
    placed = {name: generation for name, (_, generation) in two.place(3 * S).items()}
    assert placed == {"lost": 5, "moving": 2, "kept": 2, "stale": 8}
    two.errands.close()
    assert ("DELETE", "/streams/stale?generation=6") in [(q.method, q.path) for _, q in two.agents.asked]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_of_two_that_have_a_stream_the_later_owner_keeps_it(order):
    two = Two("gate", kept=Two().agents.text or b'{"cameras":[],"nodes":{},"workers":[],"generations":{}}')
    for number in order:
        two.hear(f"inference-{number}", streams={"gate": number})
    assert two.owners.is_settled(0)
    assert two.owners.table.owners["gate"].worker == "inference-2"
    assert two.owners.table.stale == [("inference-1", "gate", 1)]


def test_a_removed_camera_is_left_when_its_end_has_gone_through():
    two = Two("gate")
    two.hear("inference-1")
    two.hear("inference-2")
    two.roster.take(beat("capture", streams={"gate": 0}), 0)
    two.roster.comes_up("capture")
    assert two.owners.is_settled(0)
    two.place()
    two.notebook.cameras.remove("gate")
    two.tend(S)
    two.roster.take(beat("capture"), S)
    two.tend(2 * S)
    two.tend(5 * S - 1)
    assert "gate" in two.owners.table.owners
    two.tend(5 * S)
    assert two.owners.table.owners == {}
    assert two.owners.table.generations == {"gate": (0, 0)}


@pytest.mark.parametrize("dead", ["", "inference-1", "inference-2"])
def test_streams_of_a_dead_worker_do_not_wait_because_other_moves_have_failed_with_it(dead):
    two = Two("gate")
    for name in ("inference-1", "inference-2"):
        two.hear(name, now_ns(), state="down" if name == dead else "ready")
    two.owners._finish(
        Move("gate", "inference-1", "inference-2", 1, "to balance"), now_ns(), Moved("no answer")
    )
    assert two.owners._pauses.holds(_MOVES, now_ns()) == (not dead)
