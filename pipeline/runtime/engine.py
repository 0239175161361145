"""The interface of engines: how a library and device compute a batch and keep its state."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from torch import Tensor

from pipeline.runtime.step import Image, Memory

if TYPE_CHECKING:
    from pipeline.model.network import StepOutput

About = dict[str, str | int | float]
"""Human-readable facts, by name."""
Remember = Callable[[], tuple[list[Memory], int]]
"""Gives the memories of a batch, and how many passes of a backbone they took."""


class MotionFields(NamedTuple):
    """Dense motion of a batch, see ``StepOutput``: ``flow``, ``uncertainty``, ``moving`` and ``camera``."""

    flow: Tensor
    uncertainty: Tensor
    moving: Tensor
    camera: Tensor


class Answer(NamedTuple):
    """What an engine computes for a batch.

    Attributes:
        probabilities: ``(B, num_classes)`` float32.
        attention: ``(B, S, T * S_k)`` float16; None if not asked for.
        motion: None from a network without dense motion.
    """

    probabilities: Tensor
    attention: Tensor | None
    motion: MotionFields | None = None


class Engine(Protocol):
    """The step in one library on one device, for pictures of one size. All calls are made in inference mode.

    Attributes:
        backend: Name of the library, as settings have it.
        device: As torch names it.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``int8``.
        threads: CPU threads in use.
        most_streams: In one step; a larger batch gains nothing.
    """

    backend: str
    device: str
    precision: str
    threads: int
    most_streams: int

    def infer(
        self, images: Sequence[Image], past: Sequence[Sequence[Any]], want_attention: bool
    ) -> tuple[Answer, int, Remember]:
        """The answer to new pictures, how many passes it took, and what gives their memories."""
        ...

    def infer_known(
        self, features: Sequence[Any], past: Sequence[Sequence[Any]], want_attention: bool
    ) -> Answer:
        """The answer to known pictures, from the features of their memories."""
        ...

    def match_keys(self, entry: Any) -> Tensor | None:
        """Keys of dense motion in an entry, ``(64, rows, columns)``, see ``MotionPyramid``; None without."""
        ...

    def parts(self, entry: Any) -> list[Tensor]:
        """Copies of an entry's parts in main memory, see ``pipeline.model.state.Entry``."""
        ...

    def entry(self, parts: Sequence[Tensor]) -> Any:
        """An entry with these parts, in main memory, of an engine like this one.

        Raises:
            ValueError: They are of another model, picture size or precision.
        """
        ...

    def sizes_to_warm_up(self, batch_size: int) -> Sequence[int]:
        """Sizes of the steps that make up to ``batch_size`` streams fast."""
        ...

    def details(self) -> About:
        """What is worth showing beside the attributes, or in their place."""
        ...


def finished(logits: Tensor, attention: Tensor | None, motion: MotionFields | None = None) -> Answer:
    """The answer from what a network gives, in any type."""
    return Answer(logits.float().softmax(dim=1), None if attention is None else attention.half(), motion)


def motion_of(output: "StepOutput") -> MotionFields | None:
    """The fields of dense motion in a network's output; None where it has none."""
    if output.flow is None or output.uncertainty is None or output.moving is None or output.camera is None:
        return None
    return MotionFields(output.flow, output.uncertainty, output.moving, output.camera)
