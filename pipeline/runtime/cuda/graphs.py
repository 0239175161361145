"""Captures CUDA graphs and chooses among kernels."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import torch

T = TypeVar("T")
_TRIALS = 20
_choices: WeakKeyDictionary[Any, dict[Hashable, int]] = WeakKeyDictionary()
_PREPARATIONS = 3  # warm-up runs before the capture, in which libraries select their kernels


class Captured(Generic[T]):
    """A CUDA graph with fixed memory: inputs are written in place, outputs are always the same tensors.

    A graph holds addresses, not tensors. ``work`` is kept so that its inputs live as long as the graph.

    Args:
        work: Queues kernels and returns tensors; it must not wait for the device.
        memory: A handle from ``torch.cuda.graph_pool_handle``. A graph may overwrite the outputs of graphs
            that were captured later with the same handle.

    Attributes:
        outputs: Return value of ``work``; valid from one ``run`` to the next.
    """

    def __init__(self, work: Callable[[], T], memory: Any) -> None:
        self._work = work
        beside = _beside(torch.cuda.current_device())
        beside.wait_stream(torch.cuda.current_stream())
        with tuned():
            with torch.cuda.stream(beside):
                for _ in range(_PREPARATIONS):
                    work()
            torch.cuda.current_stream().wait_stream(beside)
            torch.cuda.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, pool=memory, stream=beside):
                self.outputs: T = work()

    def run(self) -> T:
        """Queues the work on the current stream."""
        self._graph.replay()
        return self.outputs


@cache
def _beside(device: int) -> torch.cuda.Stream:
    """One stream for all captures: libraries keep a large workspace for each stream."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@contextmanager
def tuned() -> Iterator[None]:
    """Lets cuDNN benchmark its kernels for each new shape and use the fastest."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def fastest(owner: object, case: Hashable, *ways: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Runs the fastest of several implementations, measured at the first call for each case.

    Args:
        owner: The object that the choice belongs to; the choice is dropped with it.
        case: Everything else that the choice depends on, such as the shape.
        *ways: Implementations that queue kernels for the same result.
    """
    choices = _choices.setdefault(owner, {})
    if case not in choices:
        choices[case] = min(range(len(ways)), key=lambda n: _time(ways[n]))
    return ways[choices[case]]()


def _time(work: Callable[[], object]) -> float:
    """Device time of one run in milliseconds, averaged over many runs."""
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.stream(_beside(torch.cuda.current_device())):
        for _ in range(_PREPARATIONS):
            work()
        torch.cuda.synchronize()
        graph.capture_begin(capture_error_mode="thread_local")
        for _ in range(_TRIALS):
            work()
        graph.capture_end()
    times = []
    for _ in range(_PREPARATIONS):
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        first.record()
        graph.replay()
        last.record()
        last.synchronize()
        times.append(first.elapsed_time(last) / _TRIALS)
    best: float = min(times)
    return best


def padded(count: int) -> int:
    """The batch size of the graph for ``count`` streams: the next power of two."""
    return 1 << (count - 1).bit_length()
