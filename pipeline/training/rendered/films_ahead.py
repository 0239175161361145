"""Renders layered scenes in a second process, so that training does not wait for them.

Filming is thousands of small operators: on a GPU, the time goes into launching them. A second process
launches them while the first one trains.
"""

from collections.abc import Callable, Iterator

from torch.utils.data import DataLoader, IterableDataset

from pipeline.training.rendered.scene_renderer import SceneClips, SceneRenderer


class _Films(IterableDataset[SceneClips]):
    """Batches without end; it is sent to the other process."""

    def __init__(self, open_renderer: Callable[[], SceneRenderer], n: int, step: int) -> None:
        self.open_renderer, self.n, self.step = open_renderer, n, step

    def __iter__(self) -> Iterator[SceneClips]:
        renderer = self.open_renderer()
        renderer.seek(self.step)
        while True:
            yield renderer.clips(self.n)


class FilmsAhead:
    """The batches of a renderer, filmed ahead. They are the same as if it were asked directly."""

    def __init__(self, open_renderer: Callable[[], SceneRenderer], n: int, ahead: int) -> None:
        """Starts nothing yet.

        Args:
            open_renderer: Makes the renderer in the other process: a ``functools.partial`` of its class.
            n: Clips in a batch.
            ahead: Batches that wait at most.
        """
        self._open_renderer, self._n, self._ahead, self._step = open_renderer, n, ahead, 0
        self._batches: Iterator[SceneClips] | None = None

    def seek(self, step: int) -> None:
        """Goes on as if ``step`` batches had been filmed."""
        self._step, self._batches = step, None

    def start(self) -> None:
        """Starts the process, which compiles while the caller does something else."""
        films = _Films(self._open_renderer, self._n, self._step)
        loader = DataLoader(
            films,
            batch_size=None,
            num_workers=1,
            prefetch_factor=self._ahead,
            # not "spawn": such a process ends through C++ destructors, in which torch aborts under load
            multiprocessing_context="forkserver",
        )
        self._batches = iter(loader)

    def clips(self, n: int) -> SceneClips:
        """The next batch.

        Raises:
            ValueError: Another size than that of all batches.
            RuntimeError: The process ended; the message has its traceback or exit status.
        """
        if n != self._n:
            raise ValueError(f"{n} clips asked for, batches of {self._n} are filmed ahead")
        if self._batches is None:
            self.start()
        assert self._batches is not None
        return next(self._batches)
