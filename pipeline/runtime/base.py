"""What every runtime offers to the inference worker."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""``(height, width, 3)`` uint8, colours in the order blue, green, red; any size."""
Pixels = npt.NDArray[np.uint8]
"""``(B, size, size, 3)`` uint8 of the model's size, colours in the order red, green, blue."""


@dataclass(slots=True)
class Result:
    """What the model says of one picture.

    Attributes:
        probabilities: ``(num_classes,)`` float32, adding up to 1.
        attention: Weights over the past, ``(S, T * S_k)`` float16, slots oldest first and zeros for a slot
            without a frame; None if not asked for.
        depth: Past frames it saw, 0 to ``T``.
        entry: What to remember of the picture; None until ``Runtime.remember``.
        features: What the backbone made of the picture; None until ``Runtime.remember``, and from a
            backend that does not keep it.
    """

    probabilities: npt.NDArray[np.float32]
    attention: npt.NDArray[np.float16] | None
    depth: int
    entry: Any = None
    features: Any = None


class Runtime(Protocol):
    """One loaded model on one device.

    Attributes:
        labels: Names of the classes.
        num_past: ``T``.
        query_grid: Rows and columns of the new frame's positions, ``rows * columns = S``.
        backbone_passes: Pictures that went through a backbone so far, warm-up left out.
        most_streams: In one step; a larger batch gains nothing.
    """

    labels: tuple[str, ...]
    num_past: int
    query_grid: tuple[int, int]
    backbone_passes: int
    most_streams: int

    def warm_up(self, batch_size: int = 1) -> None:
        """Runs blank steps, so that the first real one of that many streams is as fast as the others."""
        ...

    def infer(
        self,
        images: Sequence[Image],
        streams: Sequence[Sequence[Any]],
        want_attention: bool = False,
        known: Sequence[Result | None] = (),
    ) -> list[Result]:
        """One step for one new picture of each of several streams.

        Args:
            images: A picture of each stream, of any size.
            streams: For each stream its ``T`` remembered entries, oldest first, None where there is none.
            want_attention: Whether results carry the weights.
            known: For each picture the result of one that was the same, with its ``features``: the backbone
                is left out, and the answer is that of a full step. None for a new picture; nothing at all
                where all are new.

        Returns:
            A result for each stream, in the same order.
        """
        ...

    def remember(self, results: Sequence[Result]) -> list[Any]:
        """The entries of the pictures just inferred, one for each stream's history.

        Costs nothing with shared weights; otherwise it runs the other backbones, so call it when the
        predictions are out.

        Args:
            results: What the last ``infer`` gave.
        """
        ...

    def describe(self) -> dict[str, str | int | float]:
        """``backend``, ``device`` and ``precision``, and what else is worth showing."""
        ...

    def describe_model(self) -> dict[str, str | int | float]:
        """Name, size and kind of the model."""
        ...
