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
_PREPARATIONS = 3  # runs before the capture: libraries choose their kernels in these


class Captured(Generic[T]):
    """Work on the device with fixed memory: inputs are written in place, outputs are always the same tensors.

    A graph holds addresses, not tensors: ``work`` is kept, so that what it reads lives as long as the graph.

    Args:
        work: Queues kernels and returns tensors; it must not wait for the device.
        memory: What ``torch.cuda.graph_pool_handle`` gave. A graph may write over the outputs of those that
            were captured later with the same memory.

    Attributes:
        outputs: What ``work`` returned; valid after ``run``, until the next.
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
    """The stream of all captures: libraries keep a large workspace for each stream that they meet."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@contextmanager
def tuned() -> Iterator[None]:
    """Lets cuDNN try its kernels for each new shape and keep the fastest."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def fastest(owner: object, case: Hashable, *ways: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Does something in the fastest of several ways; which one that is, is measured when the case is new.

    Args:
        owner: What the choice belongs to; forgotten with it.
        case: What else the choice depends on.
        *ways: Each queues kernels for the same result.
    """
    choices = _choices.setdefault(owner, {})
    if case not in choices:
        choices[case] = min(range(len(ways)), key=lambda n: _time(ways[n]))
    return ways[choices[case]]()


def _time(work: Callable[[], object]) -> float:
    """Milliseconds of the device for one of many runs."""
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
    """The batch size whose graph serves ``count`` streams: the next power of two."""
    return 1 << (count - 1).bit_length()
