"""What all runtimes do alike: pictures and remembered frames gathered into a batch, results taken apart."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from pipeline.model.description import Description
from pipeline.model.state import State
from pipeline.runtime.base import Image, Memory, Result, Step

Answer = tuple[Tensor, Tensor | None]
"""Probabilities ``(B, num_classes)`` float32, and the attention in float16 if it is wanted."""
Remember = Callable[[], tuple[list[Memory], int]]
"""Gives the memories of a batch, and how many passes of a backbone they took."""


class CommonRuntime(ABC):
    """See ``Runtime``; a backend adds ``_infer_new`` and ``_infer_again``.

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
        self.why = ""
        self._architecture, self._size, self._empty = model.architecture, model.preprocessing.size, empty
        self._parameters = model.parameter_count

    def warm_up(self, batch_size: int = 1) -> None:
        """See ``Runtime``."""
        blank = [np.zeros((self._size, self._size, 3), np.uint8)] * batch_size
        entries: list[Any] = [None] * batch_size
        for _ in range(3):
            step = self.infer(blank, [[entry] * self.num_past for entry in entries], want_attention=True)
            entries = [memory.entry for memory in step.remember()]

    def infer(
        self,
        images: Sequence[Image],
        past: Sequence[Sequence[Any]],
        *,
        want_attention: bool = False,
        known: Sequence[Memory | None] = (),
    ) -> Step:
        """See ``Runtime``. Known pictures are a batch of their own, after the new ones.

        Raises:
            ValueError: Not as many streams as pictures, entries of another model, or a known picture
                without features.
        """
        known = known or [None] * len(images)
        if not len(images) == len(past) == len(known):
            raise ValueError(f"{len(images)} pictures of {len(past)} streams, {len(known)} of them known")
        if any(memory is not None and memory.features is None for memory in known):
            raise ValueError("a known picture needs features: this runtime keeps none")
        new = [row for row, memory in enumerate(known) if memory is None]
        passes: int = 0
        remember: Remember = _nothing
        results: dict[int, Result] = {}
        with torch.inference_mode():
            if new:
                answer, passes, remember = self._infer_new(
                    [images[row] for row in new], [past[row] for row in new], want_attention
                )
                results.update(zip(new, _results(answer, [past[row] for row in new]), strict=True))
            if again := [row for row, memory in enumerate(known) if memory is not None]:
                features = [memory.features for memory in known if memory is not None]
                answer = self._infer_again(features, [past[row] for row in again], want_attention)
                results.update(zip(again, _results(answer, [past[row] for row in again]), strict=True))

        def memories() -> tuple[list[Memory], int]:
            with torch.inference_mode():
                fresh, passes = remember()
            unused = iter(fresh)
            return [next(unused) if memory is None else memory for memory in known], passes

        return Step([results[row] for row in range(len(images))], passes, memories)

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
        self, images: Sequence[Image], past: Sequence[Sequence[Any]], want_attention: bool
    ) -> tuple[Answer, int, Remember]:
        """The answer to new pictures, the passes it took, and what gives their memories."""

    def _infer_again(
        self, features: Sequence[Any], past: Sequence[Sequence[Any]], want_attention: bool
    ) -> Answer:
        """The answer from features of memories."""
        raise NotImplementedError(f"{self.backend} keeps no features")

    @abstractmethod
    def _threads(self) -> int:
        """CPU threads in use."""


def finished(logits: Tensor, attention: Tensor | None) -> Answer:
    """Probabilities in float32 and attention in float16."""
    return logits.float().softmax(dim=1), None if attention is None else attention.half()


def _nothing() -> tuple[list[Memory], int]:
    return [], 0


def _results(answer: Answer, past: Sequence[Sequence[Any]]) -> list[Result]:
    probabilities, attention = answer[0].cpu().numpy(), answer[1]
    weights = [None] * len(past) if attention is None else list(attention.cpu().numpy())
    depths = [sum(entry is not None for entry in slots) for slots in past]
    return [Result(*row) for row in zip(probabilities, weights, depths, strict=True)]
