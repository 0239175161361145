"""The sequence of requests that moves a stream to another worker."""

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from pipeline.flow.fleet_table import Move
from workers.fleet.worker_client import Answer, Question, stream_path

Ask: TypeAlias = Callable[[str, Question], Answer]
"""Sends a request to a worker by name; code 0 if that fails."""


class Moved(msgspec.Struct, frozen=True):
    """The outcome of a move.

    Attributes:
        trouble: Why the move failed; empty if it succeeded.
        kept: Whether the old owner certainly still has the stream.
        memory: Whether the cache moved, too: ``taken``, ``none``, or ``refused`` with the reason; empty if
            unknown.
    """

    trouble: str = ""
    kept: bool = False
    memory: str = ""


def make_move(ask: Ask, move: Move, generation: int | None) -> Moved:
    """Moves a stream.

    A planned move loses no frames: the new owner subscribes to the stream before the old one leaves it, and
    continues after the last frame that the old one processed. If the old owner is gone, capture sends the
    last frames again, and the new owner starts with those.

    Args:
        ask: Sends a request to a worker.
        move: The move to make.
        generation: The stream's generation at its source; None if the source does not own it.
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
