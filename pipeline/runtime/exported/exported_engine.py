"""The engine of an exported step: one graph for the step, one for only the answer."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.model.description import Description
from pipeline.model.preprocessing import Size
from pipeline.runtime.engine import About, Answer, MotionFields, Remember
from pipeline.runtime.exported.array_state import Array, ArrayState, Entry, probabilities
from pipeline.runtime.exported.ports import ports
from pipeline.runtime.step import Image, Memory, Part
from pipeline.runtime.threaded_stretch import Stretcher

Graph = Callable[[Sequence[Array]], list[Array]]
"""Maps inputs to outputs, both in the order of their names; outputs may be overwritten by the next call."""


class Graphs(NamedTuple):
    """The graphs of an exported step.

    Attributes:
        step: From pixels and state to ``Ports.outputs`` and ``Ports.features``.
        answer: From ``Ports.features`` and state to ``Ports.answer``; None if it cannot be extracted.
    """

    step: Graph
    answer: Graph | None


class ExportedEngine:
    """See ``Engine``.

    With unshared weights, the passes of the other backbones are part of ``infer``. The features of an image
    are ``Ports.features``, the few maps that its answer needs.

    Args:
        graphs: Ready to run.
        model: Description of the network.
        size: Size of the images.
        backend: See ``Engine``.
        device: See ``Engine``.
        precision: See ``Engine``.
        threads: See ``Engine``.
        details: See ``Engine``.

    Attributes:
        stretch: Converts images to pixels.
    """

    most_streams = 16

    def __init__(
        self,
        graphs: Graphs,
        model: Description,
        size: Size,
        *,
        backend: str,
        device: str,
        precision: str,
        threads: int,
        details: About,
    ) -> None:
        self.backend, self.device, self.precision, self.threads = backend, device, precision, threads
        self._graphs, self._details = graphs, details
        self._state, self._ports = ArrayState(model.architecture, size), ports(model.architecture)
        self._passes = 1 + model.architecture.passes_to_remember
        self.stretch = Stretcher(size, threads)

    def infer(
        self, images: Sequence[Image], past: Sequence[Sequence[Entry | None]], want_attention: bool
    ) -> tuple[Answer, int, Remember]:
        """See ``Engine``."""
        found = self._graphs.step([self.stretch(images), *self._state.gather(past)])
        answered, known = len(self._ports.answer), len(self._ports.outputs)
        answer, seen = found[:answered], found[known:]
        # Copies: the next call may overwrite the outputs, and each row can be freed separately.
        memories = [
            Memory(entry, [part[row].copy() for part in seen] if self._graphs.answer else None)
            for row, entry in enumerate(self._state.entries(found[answered:known]))
        ]
        return self._answer(answer, want_attention), self._passes * len(images), lambda: (memories, 0)

    def infer_known(
        self, features: Sequence[list[Array]], past: Sequence[Sequence[Entry | None]], want_attention: bool
    ) -> Answer:
        """See ``Engine``."""
        assert self._graphs.answer is not None
        projections = [np.stack(parts) for parts in zip(*features, strict=True)]
        found = self._graphs.answer([*projections, *self._state.gather(past)])
        return self._answer(found, want_attention)

    def match_keys(self, entry: Entry) -> npt.NDArray[np.float32] | None:
        """See ``Engine``."""
        return self._state.match(entry)

    def parts(self, entry: Entry) -> list[Part]:
        """See ``Engine``."""
        return self._state.parts(entry)

    def entry(self, parts: Sequence[Part]) -> Entry:
        """See ``Engine``."""
        return self._state.entry(parts)

    def sizes_to_warm_up(self, batch_size: int) -> Sequence[int]:
        """See ``Engine``."""
        return [batch_size]

    def details(self) -> About:
        """See ``Engine``."""
        return self._details

    def _answer(self, found: Sequence[Array], want_attention: bool) -> Answer:
        """Builds an answer from outputs in the order of ``Ports.answer``."""
        logits, attention, *motion = found
        return Answer(
            probabilities(logits),
            attention.astype(np.float16) if want_attention else None,
            MotionFields(*(field.copy() for field in motion)) if motion else None,
        )
