"""The layout of a cached frame as one row of numbers, so that one copy moves all of it."""

import math

import torch
from torch import Tensor

from pipeline.model.state import Entry, State


class EntryLayout:
    """Positions of the parts of an ``Entry`` in a row.

    Args:
        empty: ``model.init_state(1)``.

    Attributes:
        length: Length of a row.
    """

    def __init__(self, empty: State) -> None:
        _, layers, _, variants, cells, width = empty.keys.shape
        projections = (layers, variants, cells, width)
        maps = [part.shape[2:] for part in (empty.match, empty.fine) if part is not None]
        self._shapes = [projections, projections, *maps]
        self._lengths = [math.prod(shape) for shape in self._shapes]
        self.length = sum(self._lengths)

    def pack(self, entry: Entry) -> Tensor:
        """Rows ``(n, length)`` of a batch of entries."""
        return torch.cat([part.flatten(1) for part in entry if part is not None], dim=1)

    def parts(self, row: Tensor) -> list[Tensor]:
        """The parts of an entry's row ``(length,)``, without copies."""
        parts = torch.split(row, self._lengths)
        return [part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def match(self, row: Tensor) -> Tensor | None:
        """The ``match`` map of an entry's row ``(length,)``; None for a network without dense motion."""
        parts = torch.split(row, self._lengths)
        return parts[2].view(self._shapes[2]) if len(parts) > 2 else None

    def state(self, past: Tensor, valid: Tensor) -> State:
        """The state from the rows of its slots, without copies.

        Args:
            past: Rows of the slots, ``(n, T, length)``.
            valid: ``(n, T)`` bool: which slots hold a frame.
        """
        parts = torch.split(past, self._lengths, dim=2)
        keys, values, *maps = (
            part.view(*past.shape[:2], *shape) for part, shape in zip(parts, self._shapes, strict=True)
        )
        return State(keys.transpose(1, 2), values.transpose(1, 2), valid, *maps)
