"""The model's step on torch as it is, on a CPU; on a CUDA GPU it is what ``CudaRuntime`` is compared with."""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor

from pipeline.model.device import pick_device
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.state import Entry, State, gather
from pipeline.model.temporal import Features
from pipeline.runtime.base import Pixels
from pipeline.runtime.common import GatheringRuntime, finished
from pipeline.runtime.fold_batch_norm import fuse_batch_norms
from pipeline.runtime.pixels import Preprocessor
from pipeline.runtime.precision import DTYPES, pick_precision


class TorchRuntime(GatheringRuntime):
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
        picked = pick_precision(precision, chosen)
        if threads:
            torch.set_num_threads(threads)
        dtype = DTYPES[picked]
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

    def _infer_again(
        self, features: Sequence[Features], streams: Sequence[Sequence[Entry | None]], want_attention: bool
    ) -> tuple[Tensor, Tensor | None]:
        together = {stage: torch.stack([row[stage] for row in features]) for stage in features[0]}
        output = self._model.answer(together, gather(streams, self._empty), want_attention)
        return finished(output.logits, output.attention)

    def _kept(self) -> list[tuple[Entry, Features]]:
        assert self._pending is not None
        _, features = self._pending
        entries = self._remember().split()
        rows = [{stage: x[row].clone() for stage, x in features.items()} for row in range(len(entries))]
        return list(zip(entries, rows, strict=True))

    def _remember(self) -> Entry:
        assert self._pending is not None
        before = self._model.backbone_passes
        entry = self._model.remember(*self._pending)
        self.backbone_passes += self._model.backbone_passes - before
        self._pending = None
        return entry

    def _threads(self) -> int:
        return torch.get_num_threads()
