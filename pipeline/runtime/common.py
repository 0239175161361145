"""What all runtimes do alike: pictures and remembered frames gathered into a batch, results taken apart."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from pipeline.model.description import Description
from pipeline.model.state import Entry, State, gather
from pipeline.runtime.base import Image, Pixels, Result
from pipeline.runtime.pixels import Stretcher

_NOTHING = np.empty(0, np.float32)


class CommonRuntime(ABC):
    """See ``Runtime``; a backend adds ``_infer_new`` and ``_kept``.

    Args:
        model: What is known of the network.
        empty: ``init_state(1)`` in the type and on the device of the backend.
        device: For people, as torch names it.
        precision: ``fp32``, ``fp16`` or ``bf16``.
        name: Of the model, for people.

    Attributes:
        why: Why this backend runs, for people; empty where nobody chose.
    """

    backend: ClassVar[str]
    most_streams = 16

    def __init__(self, model: Description, empty: State, device: str, precision: str, name: str) -> None:
        self.device, self.precision, self.name = device, precision, name
        self.labels, self.num_past = model.labels, model.architecture.num_past
        self.query_grid = model.architecture.grid("layer4")
        self.backbone_passes = 0
        self.why = ""
        self._architecture, self._size, self._empty = model.architecture, model.preprocessing.size, empty
        self._parameters = model.parameter_count
        self._new: list[int] = []
        self._results: list[Result] | None = None

    def warm_up(self, batch_size: int = 1) -> None:
        """See ``Runtime``."""
        passes = self.backbone_passes
        blank = [np.zeros((self._size, self._size, 3), np.uint8)] * batch_size
        entries: list[Entry | None] = [None] * batch_size
        for _ in range(3):
            results = self.infer(blank, [[entry] * self.num_past for entry in entries], want_attention=True)
            entries = list(self.remember(results))
        self.backbone_passes = passes

    @torch.inference_mode()
    def infer(
        self,
        images: Sequence[Image],
        streams: Sequence[Sequence[Any]],
        want_attention: bool = False,
        known: Sequence[Result | None] = (),
    ) -> list[Result]:
        """See ``Runtime``. Pictures with known features are a step of their own, after the new ones.

        Raises:
            ValueError: Not as many streams as pictures, entries of another model, or a known result
                without features.
        """
        known = known or [None] * len(images)
        if not len(images) == len(streams) == len(known):
            raise ValueError(f"{len(images)} pictures of {len(streams)} streams, {len(known)} of them known")
        self._new = [row for row, before in enumerate(known) if before is None]
        self._results = [
            Result(_NOTHING, None, sum(entry is not None for entry in slots)) for slots in streams
        ]
        if self._new:
            answer = self._infer_new(
                [images[row] for row in self._new], [streams[row] for row in self._new], want_attention
            )
            self._fill(self._new, *answer)
        again = [(row, before) for row, before in enumerate(known) if before is not None]
        if again:
            features = [before.features for _, before in again]
            if any(kept is None for kept in features):
                raise ValueError("known are results with features, as remember leaves them")
            rows = [row for row, _ in again]
            self._fill(rows, *self._infer_again(features, [streams[row] for row in rows], want_attention))
            for row, before in again:
                self._results[row].entry, self._results[row].features = before.entry, before.features
        return list(self._results)

    @torch.inference_mode()
    def remember(self, results: Sequence[Result]) -> list[Any]:
        """See ``Runtime``.

        Raises:
            ValueError: These are not the results of the last ``infer``.
        """
        if not self._results or len(results) != len(self._results):
            raise ValueError("remember takes the results of the last infer, once")
        own, self._results = self._results, None
        if self._new:
            for row, (entry, features) in zip(self._new, self._kept(), strict=True):
                own[row].entry, own[row].features = entry, features
        return [result.entry for result in own]

    def _fill(self, rows: Sequence[int], probabilities: Tensor, attention: Tensor | None) -> None:
        assert self._results is not None
        for row, scores in zip(rows, probabilities.cpu().numpy(), strict=True):
            self._results[row].probabilities = scores
        if attention is not None:
            for row, weights in zip(rows, attention.cpu().numpy(), strict=True):
                self._results[row].attention = weights

    def describe(self) -> dict[str, str | int | float]:
        """See ``Runtime``."""
        about: dict[str, str | int | float] = {
            "backend": self.backend,
            "device": self.device,
            "precision": self.precision,
            "threads": self._threads(),
        }
        return about | ({"why": self.why} if self.why else {})

    def describe_model(self) -> dict[str, str | int | float]:
        """See ``Runtime``."""
        return {
            "name": self.name,
            "backbone": f"ResNet-{self._architecture.depth} + CBAM",
            "attention": self._architecture.attention,
            "parameters": self._parameters,
            "image_size_px": self._size,
            "num_past": self.num_past,
            "classes": len(self.labels),
        }

    @abstractmethod
    def _infer_new(
        self, images: Sequence[Image], streams: Sequence[Sequence[Any]], want_attention: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Probabilities ``(B, num_classes)`` float32 of new pictures; the attention in float16 if wanted."""

    def _infer_again(
        self, features: Sequence[Any], streams: Sequence[Sequence[Any]], want_attention: bool
    ) -> tuple[Tensor, Tensor | None]:
        """The same from features that ``_kept`` gave."""
        raise NotImplementedError(f"{self.backend} keeps no features")

    @abstractmethod
    def _kept(self) -> list[tuple[Any, Any]]:
        """Entry and features (None where none are kept) of each picture of the last ``_infer_new``."""

    @abstractmethod
    def _threads(self) -> int:
        """CPU threads in use."""


class GatheringRuntime(CommonRuntime):
    """Entries are tensors, gathered into a ``State``; a backend adds ``_predict`` and ``_remember``."""

    def _infer_new(
        self, images: Sequence[Image], streams: Sequence[Sequence[Entry | None]], want_attention: bool
    ) -> tuple[Tensor, Tensor | None]:
        pixels, state = self._stretch(images), gather(streams, self._empty)
        return finished(*self._predict(pixels, state, want_attention))

    @cached_property
    def _stretch(self) -> Stretcher:
        return Stretcher(self._size, self._threads())

    def _kept(self) -> list[tuple[Entry, Any]]:
        return [(entry, None) for entry in self._remember().split()]

    @abstractmethod
    def _predict(self, pixels: Pixels, state: State, want_attention: bool) -> tuple[Tensor, Tensor | None]:
        """Logits, and the attention if it is wanted; keeps what ``_remember`` needs; counts the passes."""

    @abstractmethod
    def _remember(self) -> Entry:
        """The entries of the batch that was predicted last; called once."""


def finished(logits: Tensor, attention: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Probabilities in float32 and attention in float16."""
    return logits.float().softmax(dim=1), None if attention is None else attention.half()
