"""A set of streams with a new frame in every step."""

from typing import Any

import numpy as np

from pipeline.runtime.base import Runtime
from pipeline.runtime.step import Memory, Step


class Feed:
    """A set of streams with a new frame in every step.

    Args:
        runtime: The runtime.
        streams: Number of streams.
        shape: Rows and columns of the frames.

    Attributes:
        passes: Backbone passes of the last step.
    """

    def __init__(self, runtime: Runtime, streams: int, shape: tuple[int, int]) -> None:
        rng = np.random.default_rng(0)
        some = [rng.integers(0, 256, (*shape, 3), np.uint8) for _ in range(min(streams, 8))]
        self._images = [some[n % len(some)] for n in range(streams)]
        self._runtime = runtime
        self._past: list[list[Any]] = [[None] * runtime.num_past for _ in range(streams)]
        self._last: list[Memory] = []
        self.passes = 0

    def step(self) -> None:
        self._take(self._runtime.infer(self._images, self._past, want_attention=True))

    def step_again(self) -> None:
        """Runs a step in which all frames are unchanged."""
        known = self._last
        self._take(self._runtime.infer(self._images, self._past, want_attention=True, known=known))

    def _take(self, step: Step) -> None:
        self._last, self.passes = step.remember(), step.backbone_passes
        self._past = [[*past[1:], last.entry] for past, last in zip(self._past, self._last, strict=True)]
