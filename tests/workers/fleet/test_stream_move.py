"""The answers are those of ``workers/assignment.py``, as ``tests/workers/test_assignment.py`` gets them."""

import msgspec
import pytest

from pipeline.flow.fleet_table import Move
from workers.fleet.stream_move import Moved, make_move
from workers.fleet.worker_client import Answer

PLANNED = Move("gate ü", "left", "right", 4, "left is drained")
STANDBY, MEMORY = Answer(201, b"{}"), Answer(200, b"memory")
TAKEN = Answer(200, msgspec.json.encode({"stream_id": "gate ü", "memory": "taken"}))
OF_GATE = "/streams/gate%20%C3%BC?generation="


def refusal(code, why):
    return Answer(code, msgspec.json.encode({"error": why}))


def made(move, generation, *answers):
    """What came of a move, and what was asked of whom."""
    asked, left = [], list(answers)

    def ask(worker, question):
        asked.append((worker, question.method, question.path, question.body))
        return left.pop(0)

    moved = make_move(ask, move, generation)
    assert left == [], "it has asked for less than this test has answers for"
    return moved, asked


def test_a_planned_move_hands_the_memory_over_after_the_new_owner_listens():
    moved, asked = made(PLANNED, 2, STANDBY, MEMORY, TAKEN)
    assert moved == Moved(memory="taken")
    assert asked == [
        ("right", "POST", "/streams", {"stream_id": "gate ü", "generation": 4, "state": "standby"}),
        ("left", "DELETE", f"{OF_GATE}2", None),
        ("right", "PUT", f"{OF_GATE}4", b"memory"),
    ]


def test_a_stream_without_memory_moves_too():
    moved, asked = made(PLANNED, 3, STANDBY, Answer(204, b""), Answer(200, b'{"memory": "none"}'))
    assert moved == Moved(memory="none")
    assert asked[-1] == ("right", "PUT", f"{OF_GATE}4", b"")


@pytest.mark.parametrize(("source", "generation"), [(None, None), (None, 3), ("left", None)])
def test_a_stream_whose_owner_is_gone_begins_with_frames_that_are_sent_again(source, generation):
    move = msgspec.structs.replace(PLANNED, source=source)
    wanted = {"stream_id": "gate ü", "generation": 4, "state": "owned", "replay": True}
    moved, asked = made(move, generation, Answer(201, b"{}"))
    assert moved == Moved()
    assert asked == [("right", "POST", "/streams", wanted)]
    moved, _ = made(move, generation, refusal(409, "gate: generation 4 is outdated: 9 is known here"))
    assert moved == Moved("right: gate: generation 4 is outdated: 9 is known here")
    moved, _ = made(move, generation, Answer(0, b"it does not answer"))
    assert (moved.trouble, moved.kept) == ("right: it does not answer", False)


@pytest.mark.parametrize(
    "answer", [refusal(503, "it waits for the sink"), Answer(0, b"it waits for the sink")]
)
def test_as_long_as_the_new_owner_does_not_listen_the_old_one_keeps_the_stream(answer):
    moved, asked = made(PLANNED, 3, answer)
    assert moved == Moved("right: it waits for the sink", kept=True)
    assert [one[:2] for one in asked] == [("right", "POST")]


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (refusal(409, "gate is at generation 5 here, not at 3"), True),
        (refusal(503, "too busy"), True),
        (refusal(404, "gate is not assigned to this worker"), False),
        (Answer(0, b"it does not answer"), False),
    ],
)
def test_an_old_owner_that_does_not_leave_keeps_the_stream_if_it_has_said_so(answer, kept):
    moved, asked = made(PLANNED, 3, STANDBY, answer, Answer(204, b""))
    assert (moved.trouble, moved.kept) == (f"left: {answer.trouble()}", kept)
    assert asked[-1] == ("right", "DELETE", f"{OF_GATE}4", None), "the new one no longer waits for it"


@pytest.mark.parametrize("answer", [refusal(404, "gate is not on standby here"), Answer(0, b"gone")])
def test_once_the_old_owner_has_left_a_failure_leaves_the_stream_with_nobody(answer):
    moved, _ = made(PLANNED, 3, STANDBY, MEMORY, answer)
    assert moved == Moved(f"right: {answer.trouble()}", kept=False)


def test_a_memory_that_is_refused_is_told_and_the_move_is_made():
    told = Answer(200, b'{"memory": "refused: it is of another checkpoint"}')
    assert made(PLANNED, 3, STANDBY, MEMORY, told)[0] == Moved(memory="refused: it is of another checkpoint")
