"""The model's step on torch, on a CPU or a CUDA GPU."""

from copy import deepcopy

import torch
from torch import Tensor

from pipeline.model.device import DeviceError, pick_device
from pipeline.model.fuse import fuse_batch_norms
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.state import Entry, State
from pipeline.model.temporal import Features
from pipeline.runtime.base import Pixels
from pipeline.runtime.common import CommonRuntime
from pipeline.runtime.preprocess import Preprocessor

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class TorchRuntime(CommonRuntime):
    """See ``Runtime``; the model that is handed in stays as it is.

    Args:
        model: A network with its labels and preprocessing.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...
        precision: ``auto``, ``fp32``, ``fp16`` or ``bf16``.
        threads: CPU threads of the whole process; 0 leaves the choice to torch.
        name: Of the model, for people.

    Raises:
        DeviceError: This machine lacks the device, or the device the precision.
    """

    backend = "torch"

    def __init__(
        self,
        model: TemporalKVQResNetCBAM,
        device: str = "auto",
        precision: str = "auto",
        threads: int = 0,
        name: str = "model",
    ) -> None:
        chosen = pick_device(device)
        picked = _pick_precision(precision, chosen)
        if threads:
            torch.set_num_threads(threads)
        dtype = _DTYPES[picked]
        self._model = deepcopy(model).eval().requires_grad_(False)
        fuse_batch_norms(self._model)
        self._model.to(chosen, dtype).to(memory_format=torch.channels_last)
        super().__init__(model.description, self._model.init_state(1), str(chosen), picked, name)
        self._preprocess = Preprocessor(model.preprocessing, chosen, dtype)
        self._pending: tuple[Tensor, Features] | None = None

    def describe(self) -> dict[str, str | int | float]:
        """See ``Runtime``."""
        about = super().describe()
        if self.device.startswith("cuda"):
            about["device"] = torch.cuda.get_device_name(self.device)
        return about

    def _predict(self, pixels: Pixels, state: State, want_attention: bool) -> tuple[Tensor, Tensor | None]:
        frames, before = self._preprocess.normalise(pixels), self._model.backbone_passes
        output, features = self._model.predict(frames, state, want_attention)
        self.backbone_passes += self._model.backbone_passes - before
        self._pending = frames, features
        return output.logits, output.attention

    def _remember(self) -> Entry:
        assert self._pending is not None
        before = self._model.backbone_passes
        entry = self._model.remember(*self._pending)
        self.backbone_passes += self._model.backbone_passes - before
        self._pending = None
        return entry

    def _threads(self) -> int:
        return torch.get_num_threads()


def _pick_precision(name: str, device: torch.device) -> str:
    if name == "auto":
        return "fp16" if device.type == "cuda" else "fp32"
    if name not in _DTYPES:
        raise DeviceError(f"precision {name!r}: choose auto, {', '.join(_DTYPES)}")
    if name == "fp16" and device.type == "cpu":
        raise DeviceError("precision fp16 needs a CUDA device; on a CPU choose auto, fp32 or bf16")
    return name
