"""The interface of engines: how a library and device compute a batch and keep its state."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.runtime.step import Image, Memory, Part

About = dict[str, str | int | float]
"""Human-readable facts, by name."""
Remember = Callable[[], tuple[list[Memory], int]]
"""Returns the memories of a batch, and the number of backbone passes for them."""


class MotionFields(NamedTuple):
    """Dense motion of a batch, float32: the fields of ``Motion``, each with a leading ``B``."""

    flow: npt.NDArray[np.float32]
    uncertainty: npt.NDArray[np.float32]
    moving: npt.NDArray[np.float32]
    camera: npt.NDArray[np.float32]


class Answer(NamedTuple):
    """The output of an engine for a batch, in memory that is not reused.

    Attributes:
        probabilities: ``(B, num_classes)`` float32.
        attention: ``(B, S, T * S_k)`` float16; None if not requested.
        motion: None if the network has no dense motion.
    """

    probabilities: npt.NDArray[np.float32]
    attention: npt.NDArray[np.float16] | None
    motion: MotionFields | None = None


class Engine(Protocol):
    """The step in one library on one device, for images of one size.

    Attributes:
        backend: Name of the library, as in the settings.
        device: Name of the device in torch's notation.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``int8``.
        threads: CPU threads in use.
        most_streams: Maximum streams per step; a larger batch is no faster.
    """

    backend: str
    device: str
    precision: str
    threads: int
    most_streams: int

    def infer(
        self, images: Sequence[Image], past: Sequence[Sequence[Any]], want_attention: bool
    ) -> tuple[Answer, int, Remember]:
        """The answer to new images, the number of backbone passes, and ``Remember``."""
        ...

    def infer_known(
        self, features: Sequence[Any], past: Sequence[Sequence[Any]], want_attention: bool
    ) -> Answer:
        """The answer to known images, from the features in their memories."""
        ...

    def match_keys(self, entry: Any) -> npt.NDArray[np.float32] | None:
        """Keys of dense motion in an entry, ``(64, rows, columns)``, see ``MotionPyramid``, or None."""
        ...

    def parts(self, entry: Any) -> list[Part]:
        """The parts of an entry, see ``pipeline.model.state.Entry``."""
        ...

    def entry(self, parts: Sequence[Part]) -> Any:
        """Builds an entry of this engine from valid parts.

        Raises:
            ValueError: They are from another model, image size or precision.
        """
        ...

    def sizes_to_warm_up(self, batch_size: int) -> Sequence[int]:
        """Batch sizes to warm up so that up to ``batch_size`` streams run fast."""
        ...

    def details(self) -> About:
        """Facts to show in addition to the attributes; a fact with the name of an attribute replaces it."""
        ...
