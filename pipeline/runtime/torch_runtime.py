"""The model's step on torch as it is, on a CPU; on a CUDA GPU it is what ``CudaRuntime`` is compared with."""

from collections.abc import Sequence
from copy import deepcopy

import torch

from pipeline.model.device import pick_device
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.state import Entry, gather
from pipeline.model.temporal import Features
from pipeline.runtime.base import Image, Memory
from pipeline.runtime.common import Answer, CommonRuntime, Remember, finished
from pipeline.runtime.fold_batch_norm import fuse_batch_norms
from pipeline.runtime.pixels import Preprocessor
from pipeline.runtime.precision import DTYPES, pick_precision


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
        picked = pick_precision(precision, chosen)
        if threads:
            torch.set_num_threads(threads)
        dtype = DTYPES[picked]
        self._model = deepcopy(model).eval().requires_grad_(False)
        fuse_batch_norms(self._model)
        self._model.to(chosen, dtype).to(memory_format=torch.channels_last)
        super().__init__(model.description, self._model.init_state(1), str(chosen), picked, name)
        self._preprocess = Preprocessor(model.preprocessing, chosen, dtype, torch.get_num_threads())

    def describe(self) -> dict[str, str | int | float]:
        """See ``Runtime``."""
        about = super().describe()
        if self.device.startswith("cuda"):
            about["device"] = torch.cuda.get_device_name(self.device)
        return about

    def _infer_new(
        self, images: Sequence[Image], past: Sequence[Sequence[Entry | None]], want_attention: bool
    ) -> tuple[Answer, int, Remember]:
        state, before = gather(past, self._empty), self._model.backbone_passes
        frames = self._preprocess(images)
        output, features = self._model.predict(frames, state, want_attention)
        passes = self._model.backbone_passes - before

        def remember() -> tuple[list[Memory], int]:
            before = self._model.backbone_passes
            entries = self._model.remember(frames, features).split()
            rows = [{stage: x[row].clone() for stage, x in features.items()} for row in range(len(entries))]
            memories = [Memory(entry, row) for entry, row in zip(entries, rows, strict=True)]
            return memories, self._model.backbone_passes - before

        return finished(output.logits, output.attention), passes, remember

    def _infer_again(
        self, features: Sequence[Features], past: Sequence[Sequence[Entry | None]], want_attention: bool
    ) -> Answer:
        together = {stage: torch.stack([row[stage] for row in features]) for stage in features[0]}
        output = self._model.answer(together, gather(past, self._empty), want_attention)
        return finished(output.logits, output.attention)

    def _threads(self) -> int:
        return torch.get_num_threads()
