import threading

from tests.support import until
from tests.workers.fleet.beats import beat
from tests.workers.fleet.kept_here import KeptHere
from workers.fleet.errands import Errands
from workers.fleet.fleet_notes import Notes
from workers.fleet.questions import Questions
from workers.fleet.roster import Roster
from workers.fleet.worker_client import Answer, Question

POST = Question("POST", "/streams", {"id": "gate"})
REFUSED = Answer(409, b'{"error": "it has another one"}')


class Asked:
    """Questions to one worker that is up."""

    def __init__(self, *answers):
        self.agents, self.notes = KeptHere(), Notes()
        self.agents.answers = list(answers)
        roster = Roster(1.5)
        roster.take(beat("capture"), 0)
        roster.comes_up("capture")
        self.lock = threading.RLock()
        self.errands = Errands(self.lock)
        self.questions = Questions(self.agents, roster, self.errands, self.notes)

    def ask(self, *key):
        got = []
        with self.lock:
            self.questions.ask(key, got.append, "capture", POST)
        return got


def test_a_refusal_is_noted_once_and_not_asked_again_at_once():
    asked = Asked(REFUSED)
    got = asked.ask("camera", "gate")
    until(lambda: got == [REFUSED], "it is answered")
    assert [(note["worker"], note["stream"], note["why"]) for note in asked.notes.newest] == [
        ("capture", "gate", "it has another one")
    ]
    asked.ask("camera", "gate")
    other = asked.ask("camera", "yard")
    until(lambda: other, "another question is asked")
    asked.errands.close()
    assert len(asked.agents.asked) == 2


def test_what_was_done_or_is_not_there_may_be_asked_at_once():
    asked = Asked(Answer(404, b""), Answer(200, b""))
    for count in (1, 2, 3):
        until(asked_again(asked, count), "it is asked")
    asked.errands.close()
    assert asked.notes.newest == []


def asked_again(asked, count):
    def is_asked():
        asked.ask("camera", "gate")
        return len(asked.agents.asked) >= count

    return is_asked


def test_an_error_is_an_answer():
    asked = Asked()
    answer = asked.questions.ask_now("nobody", POST)
    assert (answer.code, answer.trouble()) == (0, "RuntimeError: it is gone")
    asked.errands.close()
