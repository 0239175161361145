"""The CUDA step for one batch size: fixed buffers and CUDA graphs."""

from typing import Any

import torch
from torch import Tensor

from pipeline.model.preprocessing import Size
from pipeline.model.temporal import Features
from pipeline.runtime.cuda.cuda_network import Answer, CudaNetwork
from pipeline.runtime.cuda.graphs import Captured
from pipeline.runtime.cuda.rows import Rows


class CudaStep:
    """Usage: write ``pixels``, ``past`` and ``rows``, run ``new``, ``fetch`` its answer, then run ``keep``.

    Args:
        network: The network to capture.
        streams: ``n``, the batch size.
        size: Frame size.
        entries: The table of cached frames.
        memory: Two memory pools, shared by the graphs of all batch sizes, see ``Captured``: one for new
            frames, and one for unchanged frames, whose graphs run between ``new`` and ``keep`` and must not
            overwrite the memory that those two share.

    Attributes:
        pixels: ``(n, rows, columns, 3)`` uint8, blue-green-red.
        past: Entries of the slots, ``(n, T, length)``, see ``EntryLayout``.
        rows: Their row numbers in the table, ``(n, T)`` int64, 0 for none.
        new: Graph for new frames: normalised frames, features and answer.
        keep: Graph for their entries.
        known: Features of unchanged frames, by stage ``(n, rows, columns, C)``.
    """

    def __init__(
        self, network: CudaNetwork, streams: int, size: Size, entries: Rows, memory: tuple[Any, Any]
    ) -> None:
        self._network, self._memory = network, memory[1]
        table = entries.table
        num_past = network.model.num_past
        self.pixels = torch.zeros(streams, *size, 3, dtype=torch.uint8, device=table.device)
        self.past = table.new_zeros(streams, num_past, *table.shape[1:])
        self.rows = torch.zeros(streams, num_past, dtype=torch.int64, device=table.device)
        self.known: dict[str, Tensor] = {}
        self._again: Captured[Answer] | None = None
        self.new = Captured(self._new, memory[0])
        frames, features, answer = self.new.outputs
        self.keep = Captured(lambda: network.entries(frames, features), memory[0])
        self._numbers = torch.zeros(streams, num_past, dtype=torch.int64, pin_memory=True)
        self._targets, self._origins = (
            torch.zeros(1 + len(features), streams, dtype=torch.int64, pin_memory=True) for _ in range(2)
        )
        self._fetched = tuple(torch.empty(x.shape, dtype=x.dtype, pin_memory=True) for x in answer)

    def again(self) -> Captured[Answer]:
        """The graph for unchanged frames; write ``known``, ``past`` and ``rows`` before running it."""
        if self._again is None:
            _, features, _ = self.new.outputs
            self.known = {
                stage: maps.new_zeros(maps.permute(0, 2, 3, 1).shape) for stage, maps in features.items()
            }
            maps = {stage: x.permute(0, 3, 1, 2) for stage, x in self.known.items()}
            self._again = Captured(lambda: self._network.answer(maps, self.past, self.rows), self._memory)
        return self._again

    def read_past(self, numbers: list[list[int]], entries: Rows) -> None:
        """Copies the entries with these row numbers, ``(streams, T)``, to ``past``; the rest are empty."""
        self._numbers.zero_()
        self._numbers[: len(numbers)] = torch.tensor(numbers)
        self.rows.copy_(self._numbers, non_blocking=True)
        entries.read(self.rows.flatten(), self.past.flatten(0, 1))

    def targets(self, numbers: list[list[int]]) -> Tensor:
        """Row numbers, on the device, to write the results of ``keep`` to; one list for each table."""
        return self._upload(numbers, self._targets)

    def origins(self, numbers: list[list[int]]) -> Tensor:
        """Row numbers, on the device, of the inputs of ``again``; one list for each table."""
        return self._upload(numbers, self._origins)

    def _upload(self, numbers: list[list[int]], staging: Tensor) -> Tensor:
        """Copies row numbers to the device; ``staging`` can be reused after the next ``fetch``."""
        count = len(numbers[0])
        staging[: len(numbers), :count] = torch.tensor(numbers)
        return staging[: len(numbers)].to(self.rows.device, non_blocking=True)[:, :count]

    def fetch(self, answer: Answer, count: int, want_attention: bool) -> list[Tensor]:
        """Waits for an answer and copies its first ``count`` rows to the host; attention only if wanted."""
        parts = list(zip(self._fetched, answer, strict=True))
        wanted = [part for n, part in enumerate(parts) if want_attention or n != 1]
        for here, there in wanted:
            here[:count].copy_(there[:count], non_blocking=True)
        torch.cuda.current_stream().synchronize()
        # copied by NumPy: torch's copy wakes all threads for a few MB, which took 34 of 44 ms for 64 streams
        copies = [here[:count].view(torch.uint8).numpy().copy() for here, _ in wanted]
        return [torch.from_numpy(x).view(here.dtype) for x, (here, _) in zip(copies, wanted, strict=True)]

    def _new(self) -> tuple[Tensor, Features, Answer]:
        frames, features = self._network.encode(self.pixels)
        return frames, features, self._network.answer(features, self.past, self.rows)
