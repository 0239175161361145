"""What the runtimes of an exported step share: one graph that takes pixels and a state."""

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.model.description import describe_checkpoint
from pipeline.model.device import DeviceError
from pipeline.model.state import Entry, State, empty_state
from pipeline.runtime.base import Pixels
from pipeline.runtime.common import GatheringRuntime
from pipeline.runtime.model_cache import CachedModel

if TYPE_CHECKING:
    from pipeline.model.network import TemporalKVQResNetCBAM

Array = npt.NDArray[Any]
Say = Callable[[str], None]


class ExportedRuntime(GatheringRuntime):
    """See ``Runtime``; a backend compiles the step and runs it.

    Attributes:
        precisions: Those that it computes in, the usual one first.

    The graph is the whole step: with unshared weights the passes of the other backbones are part of
    ``infer``, and ``remember`` costs nothing.

    Args:
        model: A network on the CPU, or a checkpoint's file: then the compiled step is kept on disk, and
            a start that finds it there does without network and weights.
        device: ``auto`` or ``cpu``; a backend may know others.
        precision: ``auto`` or ``fp32``; a backend may know others.
        threads: CPU threads of the step; 0 takes as many as torch would.
        name: Of the model, for people.
        say: Takes a line for people where compiling takes long.

    Raises:
        DeviceError: The backend can't run on the device or in the precision.
        MissingPackageError: The backend is not installed.
    """

    precisions: ClassVar[tuple[str, ...]] = ("fp32",)

    def __init__(
        self,
        model: "TemporalKVQResNetCBAM | Path",
        device: str = "auto",
        precision: str = "auto",
        threads: int = 0,
        name: str = "model",
        *,
        say: Say = print,
    ) -> None:
        if precision not in ("auto", *self.precisions):
            known = " and ".join(self.precisions)
            raise DeviceError(f"backend {self.backend} computes in {known}, not in {precision}: choose auto")
        precision = self.precisions[0] if precision == "auto" else precision
        about = describe_checkpoint(model) if isinstance(model, Path) else model.description
        super().__init__(about, empty_state(about.architecture, 1), self._pick(device), precision, name)
        self._thread_count = threads or torch.get_num_threads()
        self._passes = 1 if about.architecture.use_shared_weights else 1 + self.num_past
        self._newest: Entry | None = None
        cache = CachedModel(model, [*self._versions(), precision]) if isinstance(model, Path) else None
        if cache and (stored := cache.load()) and self._restore(stored):
            return
        say(f"{name}: preparing it for {self.backend}, once for this machine; this takes a moment")
        self._say = say
        compiled = self._compile(_loaded(model))
        if cache and (problem := cache.store(compiled)):
            say(f"{name}: prepared, but can't be kept for the next start: {problem}")

    def _predict(self, pixels: Pixels, state: State, want_attention: bool) -> tuple[Tensor, Tensor | None]:
        arrays = self._run(pixels, *(part.numpy() for part in state))
        logits, attention, keys, values = (torch.from_numpy(array) for array in arrays[:4])
        self.backbone_passes += self._passes * len(pixels)
        # Not views: an entry must not keep the whole state alive.
        self._newest = Entry(keys[:, :, -1].clone(), values[:, :, -1].clone())
        return logits, attention if want_attention else None

    def _remember(self) -> Entry:
        assert self._newest is not None
        entry, self._newest = self._newest, None
        return entry

    def _pick(self, device: str) -> str:
        """The device that a name means."""
        if device not in ("auto", "cpu"):
            raise DeviceError(f"backend {self.backend} runs on the CPU, not on {device}: choose auto or cpu")
        return "cpu"

    def _threads(self) -> int:
        return self._thread_count

    @abstractmethod
    def _versions(self) -> list[str]:
        """Names and versions of what compiles and runs the step, the backend first."""

    @abstractmethod
    def _restore(self, stored: bytes) -> bool:
        """Makes ready what ``_compile`` gave; False if that is not possible."""

    @abstractmethod
    def _compile(self, model: "TemporalKVQResNetCBAM") -> bytes:
        """Exports and compiles the step; gives what ``_restore`` needs."""

    @abstractmethod
    def _run(self, *inputs: Array) -> list[Array]:
        """Inputs and outputs as in ``pipeline.model.export``, the frame as pixels; outputs are copies."""


def _loaded(model: "TemporalKVQResNetCBAM | Path") -> "TemporalKVQResNetCBAM":
    if not isinstance(model, Path):
        return model
    from pipeline.model.checkpoint import load_checkpoint  # slow: torchvision comes with it

    return load_checkpoint(model)
