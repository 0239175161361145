"""What the runtimes of an exported step share: one graph of the step, and one of its answer alone."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from pipeline.model.description import describe_checkpoint
from pipeline.model.device import DeviceError
from pipeline.model.shipped import CheckpointError
from pipeline.model.state import Entry, empty_state, gather
from pipeline.runtime.base import Image, Memory
from pipeline.runtime.common import Answer, CommonRuntime, Remember, finished
from pipeline.runtime.exported.answer import CutError
from pipeline.runtime.exported.convert import OUTPUTS, asked_outputs
from pipeline.runtime.exported.model_cache import CachedModel
from pipeline.runtime.pixels import Stretcher

if TYPE_CHECKING:
    from pipeline.model.network import TemporalKVQResNetCBAM

Array = npt.NDArray[Any]
Say = Callable[[str], None]
Graph = Callable[[Sequence[Array]], list[Array]]
"""Inputs to outputs, both in the order of their names; the next call may write over what this one gave."""
Cut = TypeVar("Cut")
_STATE = ("next_keys", "next_values")


class ExportedRuntime(CommonRuntime):
    """See ``Runtime``; a backend compiles the graphs and opens them.

    Attributes:
        precisions: Those that it computes in, the usual one first.

    One graph is the whole step: with unshared weights the passes of the other backbones are part of
    ``infer``, and ``remember`` costs nothing. The other is its answer alone, for a picture that was the
    same: its features are ``asked_outputs``, the few projections that the answer needs of a picture.

    Args:
        model: A network on the CPU, or a checkpoint's file: then the compiled step is kept on disk, and
            a start that finds it there does without network and weights.
        device: ``auto`` or ``cpu``; a backend may know others.
        precision: ``auto`` or ``fp32``; a backend may know others.
        threads: CPU threads of the step; 0 takes as many as torch would.
        name: Of the model, for people.
        say: Takes a line for people where compiling takes long.

    Raises:
        CheckpointError: The checkpoint can't be used, or was replaced while it was read.
        DeviceError: The backend can't run on the device or in the precision.
        MissingPackageError: The backend is not installed.
    """

    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    _step: Graph
    _answer: Graph | None

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
        self._asked = asked_outputs(about.architecture)
        self._stretch = Stretcher(self._size, self._thread_count)
        cache = CachedModel(model, [*self._versions(), precision]) if isinstance(model, Path) else None
        if cache and (stored := cache.load()) and self._restore(*stored):
            return
        say(f"{name}: preparing it for {self.backend}, once for this machine; this takes a moment")
        self._say = say
        loaded = _loaded(model)
        if cache and not cache.is_current():
            raise CheckpointError(f"{model}: was replaced while it was read; start again")
        compiled = self._compile(loaded)
        if cache and (problem := cache.store(compiled)):
            say(f"{name}: prepared, but can't be kept for the next start: {problem}")

    def _infer_new(
        self, images: Sequence[Image], past: Sequence[Sequence[Entry | None]], want_attention: bool
    ) -> tuple[Answer, int, Remember]:
        state = gather(past, self._empty)
        found = self._step([self._stretch(images), *(part.numpy() for part in state)])
        logits, attention = (torch.from_numpy(array) for array in found[:2])
        keys, values = (torch.from_numpy(found[OUTPUTS.index(name)])[:, :, -1] for name in _STATE)
        asked = found[len(OUTPUTS) :]
        # Copies: the next call may write over what this one gave, and each row can be freed alone.
        memories = [
            Memory(
                Entry(keys[row].clone(), values[row].clone()),
                [part[row].copy() for part in asked] if self._answer else None,
            )
            for row in range(len(images))
        ]
        answer = finished(logits, attention if want_attention else None)
        return answer, self._passes * len(images), lambda: (memories, 0)

    def _infer_again(
        self, features: Sequence[list[Array]], past: Sequence[Sequence[Entry | None]], want_attention: bool
    ) -> Answer:
        assert self._answer is not None
        asked = [np.stack(parts) for parts in zip(*features, strict=True)]
        found = self._answer([*asked, *(part.numpy() for part in gather(past, self._empty))])
        logits, attention = (torch.from_numpy(array) for array in found)
        return finished(logits, attention if want_attention else None)

    def _cut(self, cut: Callable[[Any, Sequence[str]], Cut], step: Any) -> Cut | None:
        """The answer alone; None, with a message, where it can't be had: then every picture is computed."""
        try:
            return cut(step, self._asked)
        except CutError as error:
            self._say(f"{self.name}: unchanged pictures are computed like new ones: {error}")
            return None

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
    def _restore(self, *stored: bytes) -> bool:
        """Makes ready what ``_compile`` gave; False if that is not possible."""

    @abstractmethod
    def _compile(self, model: "TemporalKVQResNetCBAM") -> list[bytes]:
        """Exports the step, cuts out its answer, and makes both ready; gives what ``_restore`` needs."""


def _loaded(model: "TemporalKVQResNetCBAM | Path") -> "TemporalKVQResNetCBAM":
    if not isinstance(model, Path):
        return model
    from pipeline.model.checkpoint import load_checkpoint  # slow: torchvision comes with it

    return load_checkpoint(model)
