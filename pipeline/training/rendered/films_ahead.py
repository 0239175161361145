"""Renders layered scenes in a second process, so that training does not wait for them.

Rendering runs thousands of small operators, and on a GPU most of the time is launch overhead. A second
process launches them while the first one trains.
"""

from collections.abc import Callable, Iterator

from torch.utils.data import DataLoader, IterableDataset

from pipeline.training.rendered.scene_renderer import SceneClips, SceneRenderer


class _Films(IterableDataset[SceneClips]):
    """An endless data set of batches; the other process receives it and renders them."""

    def __init__(self, open_renderer: Callable[[], SceneRenderer], n: int, step: int) -> None:
        self.open_renderer, self.n, self.step = open_renderer, n, step

    def __iter__(self) -> Iterator[SceneClips]:
        renderer = self.open_renderer()
        renderer.seek(self.step)
        while True:
            yield renderer.clips(self.n)


class FilmsAhead:
    """Renders the batches of a renderer in advance; they are identical to those rendered directly."""

    def __init__(self, open_renderer: Callable[[], SceneRenderer], n: int, ahead: int) -> None:
        """Stores the arguments; ``start`` or the first ``clips`` starts the process.

        Args:
            open_renderer: Makes the renderer in the other process: a ``functools.partial`` of its class.
            n: Clips in a batch.
            ahead: Maximum number of batches in the queue.
        """
        self._open_renderer, self._n, self._ahead, self._step = open_renderer, n, ahead, 0
        self._batches: Iterator[SceneClips] | None = None

    def seek(self, step: int) -> None:
        """Continues as if ``step`` batches had been rendered."""
        self._step, self._batches = step, None

    def start(self) -> None:
        """Starts the process, which compiles in the background."""
        films = _Films(self._open_renderer, self._n, self._step)
        loader = DataLoader(
            films,
            batch_size=None,
            num_workers=1,
            prefetch_factor=self._ahead,
            # not "spawn": its exit runs C++ destructors, in which torch aborts under load
            multiprocessing_context="forkserver",
        )
        self._batches = iter(loader)

    def clips(self, n: int) -> SceneClips:
        """The next batch.

        Raises:
            ValueError: ``n`` is not the batch size.
            RuntimeError: The process ended; the message includes its traceback or exit status.
        """
        if n != self._n:
            raise ValueError(f"{n} clips requested, but batches of {self._n} are rendered ahead")
        if self._batches is None:
            self.start()
        assert self._batches is not None
        return next(self._batches)
