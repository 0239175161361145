"""Asks workers without waiting for them; what was refused is not asked again at once."""

from collections.abc import Callable
from functools import partial

from pipeline.base.clock import now_ns
from workers.fleet.agents_protocol import Agents
from workers.fleet.errands import Errands
from workers.fleet.fleet_notes import Notes
from workers.fleet.pauses import Pauses
from workers.fleet.roster import Roster
from workers.fleet.worker_client import Answer, Question

_NOT_FOUND = 404


class Questions:
    """Asks through the agents.

    Args:
        agents: Of the fleet.
        roster: Knows who is gone: nobody waits for them.
        errands: Are done in other threads.
        notes: Take what was refused.
    """

    def __init__(self, agents: Agents, roster: Roster, errands: Errands, notes: Notes) -> None:
        self._agents, self._roster, self._errands, self._notes = agents, roster, errands, notes
        self._pauses = Pauses()

    def ask(
        self, key: tuple[str, ...], then: Callable[[Answer], None], name: str, question: Question
    ) -> None:
        """Asks in another thread; nothing if one of this key is under way, or was refused just now.

        Args:
            key: What it is about.
            then: Called with the answer, under the lock of the errands.
            name: Of the worker.
            question: What.
        """
        if self._pauses.holds(key, now_ns()):
            return

        def answered(answer: Answer) -> None:
            if answer.done or answer.code == _NOT_FOUND:
                self._pauses.end(key)
            elif self._pauses.begin(key, now_ns()):
                self._notes.add("refused", worker=name, stream=question.stream, why=answer.trouble())
            then(answer)

        self._errands.begin(key, partial(self.ask_now, name, question), answered)

    def ask_now(self, name: str, question: Question) -> Answer:
        """Asks, and waits for the answer; code 0 if that can't be done."""
        try:
            return self._agents.ask(name, question, lambda: not self._roster.is_up(name))
        except Exception as error:  # a move must be reported, or its stream has no owner for good
            return Answer(0, f"{type(error).__name__}: {error}".encode())
