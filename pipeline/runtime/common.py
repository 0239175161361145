"""What all runtimes do alike: pictures and remembered frames gathered into a batch, results taken apart."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from pipeline.model.description import Description
from pipeline.model.state import Entry, State, gather
from pipeline.runtime.base import Image, Pixels, Result
from pipeline.runtime.preprocess import to_squares


class CommonRuntime(ABC):
    """See ``Runtime``; a backend adds ``_predict`` and ``_remember``.

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

    def __init__(self, model: Description, empty: State, device: str, precision: str, name: str) -> None:
        self.device, self.precision, self.name = device, precision, name
        self.labels, self.num_past = model.labels, model.architecture.num_past
        self.query_grid = model.architecture.grid("layer4")
        self.backbone_passes = 0
        self.why = ""
        self._architecture, self._size, self._empty = model.architecture, model.preprocessing.size, empty
        self._parameters = model.parameter_count
        self._waiting = 0

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
        streams: Sequence[Sequence[Entry | None]],
        want_attention: bool = False,
    ) -> list[Result]:
        """See ``Runtime``.

        Raises:
            ValueError: Not as many streams as pictures, or entries of another model.
        """
        if len(images) != len(streams):
            raise ValueError(f"{len(images)} pictures of {len(streams)} streams")
        if not images:
            return []
        pixels, state = to_squares(images, self._size), gather(streams, self._empty)
        logits, attention = self._predict(pixels, state, want_attention)
        probabilities = logits.float().softmax(dim=1).cpu().numpy()
        results = [
            Result(scores, None, sum(entry is not None for entry in slots))
            for scores, slots in zip(probabilities, streams, strict=True)
        ]
        if attention is not None:
            for result, weights in zip(results, attention.half().cpu().numpy(), strict=True):
                result.attention = weights
        self._waiting = len(results)
        return results

    @torch.inference_mode()
    def remember(self, results: Sequence[Result]) -> list[Entry]:
        """See ``Runtime``.

        Raises:
            ValueError: These are not the results of the last ``infer``.
        """
        if not self._waiting or len(results) != self._waiting:
            raise ValueError("remember takes the results of the last infer, once")
        self._waiting = 0
        return self._remember().split()

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
    def _predict(self, pixels: Pixels, state: State, want_attention: bool) -> tuple[Tensor, Tensor | None]:
        """Logits, and the attention if it is wanted; keeps what ``_remember`` needs; counts the passes."""

    @abstractmethod
    def _remember(self) -> Entry:
        """The entries of the batch that was predicted last; called once."""

    @abstractmethod
    def _threads(self) -> int:
        """CPU threads in use."""
