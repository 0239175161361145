"""The engine of an exported step: one graph for the step, one for the answer alone."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.model.description import Description
from pipeline.model.preprocessing import Size
from pipeline.model.state import Entry, State, empty_state, entry_of, gather
from pipeline.runtime.engine import About, Answer, MotionFields, Remember, finished
from pipeline.runtime.exported.convert import MOTION, ports
from pipeline.runtime.pixels import Stretcher
from pipeline.runtime.step import Image, Memory

Array = npt.NDArray[Any]
Graph = Callable[[Sequence[Array]], list[Array]]
"""Inputs to outputs, both in the order of their names; the next call may write over what this one gave."""


class Graphs(NamedTuple):
    """What an exported step consists of.

    Attributes:
        step: From pixels and state to ``Ports.outputs`` and ``Ports.features``.
        answer: From ``Ports.features`` and state to ``Ports.answer``; None where it can't be had.
    """

    step: Graph
    answer: Graph | None


class ExportedEngine:
    """See ``Engine``.

    With unshared weights the passes of the other backbones are part of ``infer``. The features of a picture
    are ``Ports.features``, the few maps that the answer needs of it.

    Args:
        graphs: Ready to run.
        model: What is known of the network.
        size: Of the pictures.
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
        self._empty, self._ports = empty_state(model.architecture, 1, size), ports(model.architecture)
        self._passes = 1 + model.architecture.passes_to_remember
        self.stretch = Stretcher(size, threads)

    def infer(
        self, images: Sequence[Image], past: Sequence[Sequence[Entry | None]], want_attention: bool
    ) -> tuple[Answer, int, Remember]:
        """See ``Engine``."""
        state = gather(past, self._empty)
        found = self._graphs.step([self.stretch(images), *_arrays(state)])
        outputs = dict(zip(self._ports.outputs, map(torch.from_numpy, found), strict=False))
        seen = found[len(self._ports.outputs) :]
        newest = [outputs[name][:, :, -1] for name in ("next_keys", "next_values")]
        newest += [outputs[name][:, -1] for name in ("next_match", "next_fine") if name in outputs]
        # Copies: the next call may write over what this one gave, and each row can be freed alone.
        memories = [
            Memory(
                Entry(*(part[row].clone() for part in newest)),
                [part[row].copy() for part in seen] if self._graphs.answer else None,
            )
            for row in range(len(images))
        ]
        answer = _finished(outputs, want_attention)
        return answer, self._passes * len(images), lambda: (memories, 0)

    def infer_known(
        self, features: Sequence[list[Array]], past: Sequence[Sequence[Entry | None]], want_attention: bool
    ) -> Answer:
        """See ``Engine``."""
        assert self._graphs.answer is not None
        projections = [np.stack(parts) for parts in zip(*features, strict=True)]
        found = self._graphs.answer([*projections, *_arrays(gather(past, self._empty))])
        return _finished(
            dict(zip(self._ports.answer, map(torch.from_numpy, found), strict=True)), want_attention
        )

    def match_keys(self, entry: Entry) -> Tensor | None:
        """See ``Engine``."""
        return entry.match

    def parts(self, entry: Entry) -> list[Tensor]:
        """See ``Engine``."""
        return [part.cpu() for part in entry if part is not None]

    def entry(self, parts: Sequence[Tensor]) -> Entry:
        """See ``Engine``."""
        return entry_of(parts, self._empty)

    def sizes_to_warm_up(self, batch_size: int) -> Sequence[int]:
        """See ``Engine``."""
        return [batch_size]

    def details(self) -> About:
        """See ``Engine``."""
        return self._details


def _arrays(state: State) -> list[Array]:
    return [part.numpy() for part in state.parts()]


def _finished(outputs: Mapping[str, Tensor], want_attention: bool) -> Answer:
    motion = MotionFields(*(outputs[name].clone() for name in MOTION)) if MOTION[0] in outputs else None
    return finished(outputs["logits"], outputs["attention"] if want_attention else None, motion)
