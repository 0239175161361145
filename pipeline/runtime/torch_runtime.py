"""The model's step on torch, on a CPU or a CUDA GPU."""

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor

from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.state import Entry, gather
from pipeline.model.temporal import Features
from pipeline.runtime.base import Image, Result
from pipeline.runtime.fuse import fuse_batch_norms
from pipeline.runtime.preprocess import Preprocessor

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class DeviceError(ValueError):
    """This machine can't run the model as asked, in one line for people."""


class TorchRuntime:
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
        chosen = _pick_device(device)
        self.device, self.precision = str(chosen), _pick_precision(precision, chosen)
        self.name, self.labels, self.num_past = name, model.labels, model.num_past
        self.backbone_passes = 0
        if threads:
            torch.set_num_threads(threads)
        dtype = _DTYPES[self.precision]
        self._parameters = sum(weights.numel() for weights in model.parameters())
        self._model = deepcopy(model).eval().requires_grad_(False)
        fuse_batch_norms(self._model)
        self._model.to(chosen, dtype).to(memory_format=torch.channels_last)
        self._empty = self._model.init_state(1)
        self._preprocess = Preprocessor(model.preprocessing, chosen, dtype)
        self.query_grid = model.architecture.grid("layer4")
        self._pending: tuple[Tensor, Features] | None = None

    def warm_up(self, batch_size: int = 1) -> None:
        """See ``Runtime``."""
        size, passes = self._model.preprocessing.size, self.backbone_passes
        blank = [np.zeros((size, size, 3), np.uint8)] * batch_size
        entries: list[Entry | None] = [None] * batch_size
        for _ in range(3):
            results = self.infer(blank, [[entry] * self.num_past for entry in entries], want_attention=True)
            entries = list(self.remember(results))
        self.backbone_passes = passes

    @torch.inference_mode()
    def infer(
        self,
        images: Sequence[Image],
        streams: Sequence[Sequence[Entry | None]],
        want_attention: bool = False,
    ) -> list[Result]:
        """See ``Runtime``.

        Raises:
            ValueError: Not as many streams as pictures, or entries of another model.
        """
        if len(images) != len(streams):
            raise ValueError(f"{len(images)} pictures of {len(streams)} streams")
        if not images:
            return []
        frames, state = self._preprocess(images), gather(streams, self._empty)
        before = self._model.backbone_passes
        output, features = self._model.predict(frames, state, want_attention)
        self.backbone_passes += self._model.backbone_passes - before
        probabilities = output.logits.float().softmax(dim=1).cpu().numpy()
        results = [
            Result(scores, None, sum(entry is not None for entry in slots))
            for scores, slots in zip(probabilities, streams, strict=True)
        ]
        if output.attention is not None:
            for result, weights in zip(results, output.attention.half().cpu().numpy(), strict=True):
                result.attention = weights
        self._pending = frames, features
        return results

    @torch.inference_mode()
    def remember(self, results: Sequence[Result]) -> list[Entry]:
        """See ``Runtime``.

        Raises:
            ValueError: These are not the results of the last ``infer``.
        """
        if self._pending is None or len(results) != len(self._pending[0]):
            raise ValueError("remember takes the results of the last infer, once")
        before = self._model.backbone_passes
        entries = self._model.remember(*self._pending).split()
        self.backbone_passes += self._model.backbone_passes - before
        self._pending = None
        return entries

    def describe(self) -> dict[str, str | int | float]:
        """See ``Runtime``."""
        device = torch.cuda.get_device_name(self.device) if self.device.startswith("cuda") else self.device
        return {
            "backend": self.backend,
            "device": device,
            "precision": self.precision,
            "threads": torch.get_num_threads(),
        }

    def describe_model(self) -> dict[str, str | int | float]:
        """See ``Runtime``."""
        shape = self._model.architecture
        return {
            "name": self.name,
            "backbone": f"ResNet-{shape.depth} + CBAM",
            "attention": shape.attention,
            "parameters": self._parameters,
            "image_size_px": self._model.preprocessing.size,
            "num_past": self.num_past,
            "classes": len(self.labels),
        }


def _pick_device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"device {name!r}: choose auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device {name!r}: choose auto, cpu, cuda or cuda:N")
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if (device.index or 0) >= count:
        raise DeviceError(
            f"device {name}: torch sees {count or 'no'} CUDA device(s) here; choose auto or cpu"
        )
    return device


def _pick_precision(name: str, device: torch.device) -> str:
    if name == "auto":
        return "fp16" if device.type == "cuda" else "fp32"
    if name not in _DTYPES:
        raise DeviceError(f"precision {name!r}: choose auto, {', '.join(_DTYPES)}")
    if name == "fp16" and device.type == "cpu":
        raise DeviceError("precision fp16 needs a CUDA device; on a CPU choose auto, fp32 or bf16")
    return name
