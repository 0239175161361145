"""The engine of an exported step: one graph of the step, and one of its answer alone."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from pipeline.model.description import Description
from pipeline.model.state import Entry, empty_state, gather
from pipeline.runtime.engine import About, Answer, Remember, finished
from pipeline.runtime.exported.convert import OUTPUTS
from pipeline.runtime.pixels import Stretcher
from pipeline.runtime.step import Image, Memory

Array = npt.NDArray[Any]
Graph = Callable[[Sequence[Array]], list[Array]]
"""Inputs to outputs, both in the order of their names; the next call may write over what this one gave."""


class Graphs(NamedTuple):
    """What an exported step consists of.

    Attributes:
        step: From pixels and state to ``OUTPUTS`` and ``query_projections``.
        answer: From ``query_projections`` and state to logits and attention; None where it can't be had.
    """

    step: Graph
    answer: Graph | None


class ExportedEngine:
    """See ``Engine``.

    With unshared weights the passes of the other backbones are part of ``infer``. The features of a picture
    are ``query_projections``, the few projections that the answer needs of it.

    Args:
        graphs: Ready to run.
        model: What is known of the network.
        backend: See ``Engine``.
        device: See ``Engine``.
        precision: See ``Engine``.
        threads: See ``Engine``.
        details: See ``Engine``.

    Attributes:
        stretch: Makes pixels of pictures.
    """

    most_streams = 16

    def __init__(
        self,
        graphs: Graphs,
        model: Description,
        *,
        backend: str,
        device: str,
        precision: str,
        threads: int,
        details: About,
    ) -> None:
        self.backend, self.device, self.precision, self.threads = backend, device, precision, threads
        self._graphs, self._details = graphs, details
        self._empty = empty_state(model.architecture, 1)
        self._passes = 1 + model.architecture.passes_to_remember
        self.stretch = Stretcher(model.preprocessing.size, threads)

    def infer(
        self, images: Sequence[Image], past: Sequence[Sequence[Entry | None]], want_attention: bool
    ) -> tuple[Answer, int, Remember]:
        """See ``Engine``."""
        state = gather(past, self._empty)
        found = self._graphs.step([self.stretch(images), *(part.numpy() for part in state)])
        outputs = dict(zip(OUTPUTS, map(torch.from_numpy, found), strict=False))
        projections = found[len(OUTPUTS) :]
        keys, values = (outputs[name][:, :, -1] for name in ("next_keys", "next_values"))
        # Copies: the next call may write over what this one gave, and each row can be freed alone.
        memories = [
            Memory(
                Entry(keys[row].clone(), values[row].clone()),
                [part[row].copy() for part in projections] if self._graphs.answer else None,
            )
            for row in range(len(images))
        ]
        answer = finished(outputs["logits"], outputs["attention"] if want_attention else None)
        return answer, self._passes * len(images), lambda: (memories, 0)

    def infer_known(
        self, features: Sequence[list[Array]], past: Sequence[Sequence[Entry | None]], want_attention: bool
    ) -> Answer:
        """See ``Engine``."""
        assert self._graphs.answer is not None
        projections = [np.stack(parts) for parts in zip(*features, strict=True)]
        found = self._graphs.answer([*projections, *(part.numpy() for part in gather(past, self._empty))])
        logits, attention = map(torch.from_numpy, found)
        return finished(logits, attention if want_attention else None)

    def sizes_to_warm_up(self, batch_size: int) -> Sequence[int]:
        """See ``Engine``."""
        return [batch_size]

    def details(self) -> About:
        """See ``Engine``."""
        return self._details
