"""Options for opening a model: device, number format and progress reports."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pipeline.model.preprocessing import Preprocessing
from pipeline.runtime.cpu_threads import default_threads

LEAST_AGREEMENT = 0.9
"""Share of clips below which int8 is not accurate enough for the model."""


class CalibrationClips(Protocol):
    """Clips for calibrating or scoring int8."""

    @property
    def frames(self) -> npt.NDArray[np.uint8]:
        """The frames ``(n, T + 1, size, size, 3)`` uint8, red-green-blue, oldest first."""

    @property
    def labels(self) -> list[str]:
        """The class name of each clip."""


ClipMaker = Callable[[int, int, int, int], CalibrationClips]
"""Makes clips; the arguments are size in pixels, number of past frames, number of clips, and seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of all backends; each rejects what it does not support with a ``DeviceError``.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...
        precision: ``auto`` (the fastest for the backend), ``fp32``, ``fp16``, ``bf16`` or ``int8``.
        longer_side_px: Longer side of images as the model sees them, which then keep their aspect ratio;
            0 leaves both to the checkpoint.
        threads: CPU threads; 0 for ``default_threads``.
        provider: For ``onnxruntime`` only: ``auto`` (by device), ``cpu``, ``cuda`` or ``tensorrt``.
        graphs: Whether torch may use captured graphs and custom kernels on a GPU.
        clips: Makes the clips on which ``int8`` is calibrated.
        least_agreement: Share of other clips for which int8 and float32 must give the same answer.
        name: Name of the model, human-readable.
        why: Why this backend was chosen, human-readable; empty if it was not chosen automatically.
        report: Receives human-readable lines: what is prepared, chosen or unavailable.
    """

    device: str = "auto"
    precision: str = "auto"
    longer_side_px: int = 0
    threads: int = 0
    provider: str = "auto"
    graphs: bool = True
    clips: ClipMaker | None = None
    least_agreement: float = LEAST_AGREEMENT
    name: str = "model"
    why: str = ""
    report: Callable[[str], None] = print

    @property
    def cpu_threads(self) -> int:
        """Number of CPU threads, at least 1."""
        return self.threads or default_threads()

    def preprocessing(self, own: Preprocessing) -> Preprocessing:
        """A model's preprocessing with these options applied.

        Raises:
            ValueError: The longer side is not supported.
        """
        return replace(own, size=self.longer_side_px, keep_aspect=True) if self.longer_side_px else own

    def log(self, line: str) -> None:
        """Reports a line about this model."""
        self.report(f"{self.name}: {line}")
