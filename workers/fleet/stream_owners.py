"""Which inference worker owns each stream of a fleet: ``FleetTable`` decides, the workers carry it out."""

from functools import partial

from pipeline.base.clock import now_ns
from pipeline.flow.fleet_policy import FleetPolicy
from pipeline.flow.fleet_table import FleetTable, Move
from workers.fleet.beat import Beat
from workers.fleet.errands import Errands
from workers.fleet.fleet_notes import Notes
from workers.fleet.inference_slots import InferenceSlots
from workers.fleet.notebook import Generations, Notebook
from workers.fleet.pauses import Pauses
from workers.fleet.questions import Questions
from workers.fleet.roster import Roster
from workers.fleet.stream_move import Moved, make_move
from workers.fleet.worker_client import Answer, Question, stream_path

_FIND_NS = 3_000_000_000
"""A restarted coordinator waits this long for known agents before it reassigns their streams."""
_GATHER_NS = 10_000_000_000
"""In a new fleet, placement waits this long for all workers, so that the first does not get all streams."""
_GENTLE_NS = 3_000_000_000
"""Time for the end of a removed stream to pass through inference to the sink before its owner releases it."""
_MEASURE_NS = 5_000_000_000
_LATELY_NS = 2_000_000_000
_MOVES = ("moves",)


class StreamOwners:
    """Assigns the streams of a fleet to inference workers.

    Nothing is placed until ``begin`` has been called and each expected worker has reported or timed out.

    Args:
        policy: How streams are placed and moved.
        slots: The expected inference workers.
        roster: The known workers.
        notebook: Stores generations before they are used.
        questions: Sends requests to workers.
        errands: Run moves.
        notes: Receive moves and their results.

    Attributes:
        table: The owner of each stream.
    """

    def __init__(
        self,
        policy: FleetPolicy,
        slots: InferenceSlots,
        roster: Roster,
        notebook: Notebook,
        questions: Questions,
        errands: Errands,
        notes: Notes,
    ) -> None:
        self.table = FleetTable(policy)
        self._slots, self._roster, self._notebook = slots, roster, notebook
        self._questions, self._errands, self._notes = questions, errands, notes
        self._pauses = Pauses()
        self._kept: Generations = {}
        self._is_new, self._is_settled = True, False
        self._first_up_ns: int | None = None
        self._adopted: set[str] = set()
        self._measured_ns: dict[str, int] = {}
        self._leave_ns: dict[str, int] = {}

    def begin(self, kept: Generations, *, is_new: bool) -> None:
        """Takes over from an earlier coordinator.

        Args:
            kept: Generations that it assigned.
            is_new: Whether there was no earlier coordinator.
        """
        self._kept, self._is_new = kept, is_new
        for stream_id, (owned, _) in kept.items():
            self.table.note_generation(stream_id, owned)

    def heard(self, beat: Beat, now: int, *, came_up: bool) -> None:
        """Processes the beat of an inference worker."""
        name = beat.worker
        if came_up:
            self._first_up_ns = self._first_up_ns or now
            if name not in self._adopted and not self._is_new:
                for stream_id in beat.streams:  # a removed camera's stream, too: it is released gracefully
                    self.table.add_stream(stream_id)
            self._adopted.add(name)
            self.table.worker_up(name, 1.0, beat.streams, now)
        elif beat.state == "ready":
            self.table.worker_up(name, 1.0, beat.streams | self._given_lately(beat, now), now)
        is_drained = self._notebook.drained.has(beat) or name in self._slots.leaving
        (self.table.drain if is_drained else self.table.undrain)(name)
        if beat.load and beat.state == "ready" and now - self._measured_ns.get(name, 0) >= _MEASURE_NS:
            self._measured_ns[name] = now
            self.table.measured(name, beat.load)

    def carried(self, worker: str) -> int:
        """How many streams a worker owns."""
        return sum(owner.worker == worker for owner in self.table.owners.values())

    def waits_for(self, now: int) -> str:
        """Why no stream is placed yet, in one line; empty if streams are placed."""
        if self._is_settled:
            return ""
        if self._first_up_ns is None:
            return "no streams are placed until an inference worker is ready"
        left_s = max(self._first_up_ns + self._patience_ns() - now, 0) / 1e9
        missing = ", ".join(sorted(self._missing())) or "no worker"
        return f"no streams are placed yet: waiting for {missing}, at most {left_s:.0f} s more"

    def is_settled(self, now: int) -> bool:
        """Whether streams may be placed."""
        if self._is_settled or self._first_up_ns is None:
            return self._is_settled
        if self._missing() and now - self._first_up_ns < self._patience_ns():
            return False
        for stream_id, (_, last) in self._kept.items():
            self.table.note_generation(stream_id, last)
        self._is_settled = True
        return True

    def tend(self, now: int) -> None:
        """Places, moves and releases streams."""
        for stream_id in self._notebook.cameras:
            self.table.add_stream(stream_id)
        self._leave_removed(now)
        for worker, stream_id, generation in self.table.stale:

            def left(answer: Answer, worker: str = worker, stream_id: str = stream_id) -> None:
                if answer.code:
                    self.table.released(worker, stream_id)

            question = Question("DELETE", stream_path(stream_id, generation))
            self._questions.ask(("stale", worker, stream_id), left, worker, question)
        moves = [] if self._pauses.holds(_MOVES, now) else self.table.plan(now)
        try:  # store generations before use, so that the next coordinator has them
            self._notebook.write(self.table.generations)
        except Exception as error:
            for move in moves:
                self.table.failed(move, f"storing the generation failed: {error}", now, kept=True)
            raise
        owners = self.table.owners
        for move in moves:
            present = owners[move.stream_id].generation if move.stream_id in owners else None
            make = partial(make_move, self._questions.ask_now, move, present)
            finish = partial(self._finish, move, now)
            self._errands.begin(("move", move.stream_id, str(move.generation)), make, finish)

    def _missing(self) -> set[str]:
        return self._slots.names - {known.beat.worker for known in self._roster.up("inference")}

    def _patience_ns(self) -> int:
        return _GATHER_NS if self._is_new else _FIND_NS

    def _given_lately(self, beat: Beat, now: int) -> dict[str, int]:
        """Streams assigned to a worker since, or shortly before, it was asked for its streams."""
        since_ns = now - round(beat.streams_age_s * 1e9) - _LATELY_NS
        return {
            name: owner.generation
            for name, owner in self.table.owners.items()
            if owner.worker == beat.worker and owner.since_ns >= since_ns
        }

    def _leave_removed(self, now: int) -> None:
        """Takes removed streams off the table; their owners are then asked to release them."""
        read = {name for known in self._roster.up("capture") for name in known.beat.streams}
        gone = self.table.owners.keys() - set(self._notebook.cameras) - read
        self._leave_ns = {name: self._leave_ns.get(name, now + _GENTLE_NS) for name in gone}
        for stream_id in [name for name, due_ns in self._leave_ns.items() if now >= due_ns]:
            self.table.remove_stream(stream_id)

    def _finish(self, move: Move, began_ns: int, moved: Moved) -> None:
        now = now_ns()
        if moved.trouble:
            self.table.failed(move, moved.trouble, now, kept=moved.kept)
            if all(self._roster.is_up(name) for name in (move.source, move.target) if name):
                self._pauses.begin(_MOVES, now, longest_s=1.0)  # short: a dead worker's streams may wait
        else:
            self._pauses.end(_MOVES)
            self.table.done(move, now)
        self._notes.add(
            "not moved" if moved.trouble else "moved",
            stream=move.stream_id,
            source=move.source or "",
            worker=move.target,
            generation=move.generation,
            took_ms=round((now - began_ns) / 1e6, 1),
            memory=moved.memory,
            why=moved.trouble or move.why,
        )
