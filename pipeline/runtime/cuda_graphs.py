"""Captured work: a CUDA graph replays many kernels for the price of one launch."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch

T = TypeVar("T")
_PREPARATIONS = 3  # runs before the capture: libraries choose their kernels in these


class Captured(Generic[T]):
    """Work on the device with fixed memory: inputs are written in place, outputs are always the same tensors.

    Args:
        work: Queues kernels and returns tensors; it must not wait for the device.
        memory: What ``torch.cuda.graph_pool_handle`` gave; shared by graphs that never run at the same
            time.

    Attributes:
        outputs: What ``work`` returned; valid after ``run``, until the next.
    """

    def __init__(self, work: Callable[[], T], memory: Any) -> None:
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(_PREPARATIONS):
                work()
        torch.cuda.current_stream().wait_stream(beside)
        torch.cuda.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=memory):
            self.outputs: T = work()

    def run(self) -> T:
        """Queues the work on the current stream."""
        self._graph.replay()
        return self.outputs


def padded(count: int) -> int:
    """The batch size whose graph serves ``count`` streams: the next power of two."""
    return 1 << (count - 1).bit_length()
