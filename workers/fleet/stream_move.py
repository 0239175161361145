"""The requests that move a stream to another worker, in order."""

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from pipeline.flow.fleet_table import Move
from workers.fleet.worker_client import Answer, Question, stream_path

Ask: TypeAlias = Callable[[str, Question], Answer]
"""Asks a worker by its name; code 0 if that can't be done."""


class Moved(msgspec.Struct, frozen=True):
    """How a move went.

    Attributes:
        trouble: Why it was not made; empty if it was.
        kept: The old owner certainly still has the stream.
        memory: What became of the memory, in words.
    """

    trouble: str = ""
    kept: bool = False
    memory: str = ""


def make_move(ask: Ask, move: Move, generation: int | None) -> Moved:
    """Makes a move.

    A planned one loses no frame: the new owner takes the stream's frames before the old one leaves it, and
    goes on after the last that the old one has dealt with. Where the old owner is gone, capture sends the
    last frames again, and the new one begins with those.

    Args:
        ask: Asks a worker.
        move: What to do.
        generation: Of the stream at its source; None if it has none.
    """
    wanted: dict[str, Any] = {"stream_id": move.stream_id, "generation": move.generation}
    to = stream_path(move.stream_id, move.generation)
    if move.source is None or generation is None:
        answer = ask(move.target, Question("POST", "/streams", {**wanted, "state": "owned", "replay": True}))
        return Moved() if answer.done else Moved(f"{move.target}: {answer.trouble()}")
    answer = ask(move.target, Question("POST", "/streams", {**wanted, "state": "standby"}))
    if not answer.done:
        return Moved(f"{move.target}: {answer.trouble()}", kept=True)
    handed = ask(move.source, Question("DELETE", stream_path(move.stream_id, generation)))
    if not handed.done:
        ask(move.target, Question("DELETE", to))
        return Moved(f"{move.source}: {handed.trouble()}", kept=handed.code not in (0, 404))
    taken = ask(move.target, Question("PUT", to, handed.body))
    if not taken.done:
        return Moved(f"{move.target}: {taken.trouble()}")
    return Moved(memory=str((taken.read() or {}).get("memory", "")))
