"""Options for opening a model: device, number format and progress reports."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pipeline.model.preprocessing import Preprocessing
from pipeline.runtime.cpu_threads import default_threads

LEAST_AGREEMENT = 0.9
"""Share of clips: below it, int8 does not fit the model."""


class CalibrationClips(Protocol):
    """Clips to calibrate int8 on, or to score it with."""

    @property
    def frames(self) -> npt.NDArray[np.uint8]:
        """``(n, T + 1, size, size, 3)`` uint8, red-green-blue, oldest first."""

    @property
    def labels(self) -> list[str]:
        """Names of the classes, ``n`` times."""


ClipMaker = Callable[[int, int, int, int], CalibrationClips]
"""Size in pixels, past frames, number of clips and seed to clips."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What all ways to open a model understand; each refuses what it can't do with a ``DeviceError``.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...
        precision: ``auto`` (what the backend is fastest in), ``fp32``, ``fp16``, ``bf16`` or ``int8``.
        longer_side_px: Of pictures as the model sees them, which then keep their aspect; 0 leaves both to
            the checkpoint.
        threads: CPU threads; 0 for ``default_threads``.
        provider: Of ``onnxruntime`` alone: ``auto`` (by device), ``cpu``, ``cuda`` or ``tensorrt``.
        graphs: Whether torch may use captured graphs and kernels of our own on a GPU.
        clips: Makes the clips that ``int8`` is calibrated on.
        least_agreement: Share of other clips that int8 must answer as float32 does.
        name: Of the model, human-readable.
        why: Why this backend was chosen, human-readable; empty where nobody chose.
        report: Takes human-readable lines: what is prepared, chosen or can't be had.
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
        """That of a model as these options have it.

        Raises:
            ValueError: A longer side that no network can use.
        """
        return replace(own, size=self.longer_side_px, keep_aspect=True) if self.longer_side_px else own

    def log(self, line: str) -> None:
        """Reports a line on this model."""
        self.report(f"{self.name}: {line}")
