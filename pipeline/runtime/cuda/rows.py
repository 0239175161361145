"""Allocates rows of device memory and frees them when no longer used."""

from collections.abc import Sequence

import torch
from torch import Tensor

_START = 16


class Row:
    """One row of ``Rows``; freed when this object is deleted."""

    __slots__ = ("_free", "number")

    def __init__(self, number: int, free: list[int]) -> None:
        self.number, self._free = number, free

    def __del__(self) -> None:
        self._free.append(self.number)


class Rows:
    """A growing table. Row 0 is all zeros and means "no entry".

    Freed rows are reused first, so the size depends only on the number of rows in use at the same time.
    Reads and writes are queued on the current CUDA stream, so only later work can overwrite a freed row.

    Args:
        shape: Shape of a row.
        like: A tensor with the wanted dtype and device.
    """

    def __init__(self, shape: Sequence[int], like: Tensor) -> None:
        self.table = like.new_zeros(_START, *shape)
        self._free = list(range(_START - 1, 0, -1))

    @property
    def held(self) -> int:
        """Number of rows in use."""
        return len(self.table) - 1 - len(self._free)

    def take(self, count: int) -> list[Row]:
        """Allocates rows, growing the table if needed."""
        while len(self._free) < count:
            size = len(self.table)
            self.table = torch.cat([self.table, torch.zeros_like(self.table)])
            self._free[:0] = range(2 * size - 1, size - 1, -1)
        return [Row(self._free.pop(), self._free) for _ in range(count)]

    def write(self, numbers: Tensor, values: Tensor) -> None:
        """Copies ``values``, ``(n, *shape)``, into the rows ``numbers``, ``(n,)`` int64."""
        self.table.index_copy_(0, numbers, values)

    def read(self, numbers: Tensor, out: Tensor) -> None:
        """Copies the rows ``numbers``, ``(n,)`` int64, to ``out``, ``(n, *shape)``."""
        torch.index_select(self.table, 0, numbers, out=out)
