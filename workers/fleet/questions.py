"""Sends requests to workers without blocking; a refused request is repeated with back-off."""

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
    """Sends requests through the agents.

    Args:
        agents: The fleet's agents.
        roster: The known workers; a request to a worker that goes down is abandoned.
        errands: Run the requests in other threads.
        notes: Receive refusals.
    """

    def __init__(self, agents: Agents, roster: Roster, errands: Errands, notes: Notes) -> None:
        self._agents, self._roster, self._errands, self._notes = agents, roster, errands, notes
        self._pauses = Pauses()

    def ask(
        self, key: tuple[str, ...], then: Callable[[Answer], None], name: str, question: Question
    ) -> None:
        """Sends a request in another thread; does nothing while one with this key is running or backing off.

        Args:
            key: Identifies the request.
            then: Called with the answer, under the lock of the errands.
            name: The worker's name.
            question: The request.
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
        """Sends a request and waits for the answer; code 0 if it can't be sent."""
        try:
            return self._agents.ask(name, question, lambda: not self._roster.is_up(name))
        except Exception as error:  # a failed move must be reported, or its stream never gets an owner
            return Answer(0, f"{type(error).__name__}: {error}".encode())
