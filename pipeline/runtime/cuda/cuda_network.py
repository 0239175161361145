"""The network optimised for CUDA: fused backbone kernels, compiled attention."""

import os
import warnings
from collections.abc import Callable
from copy import deepcopy
from importlib import import_module
from typing import Literal, cast

import torch
from torch import Tensor

from pipeline.base.files import cache_folder
from pipeline.model.architecture import CONTEXT_CHANNELS, KEPT_FINE_CHANNELS, MATCH_CHANNELS
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.preprocessing import Size
from pipeline.model.resnet import ResNetCBAM
from pipeline.model.temporal import Features
from pipeline.runtime.cuda.entry_layout import EntryLayout
from pipeline.runtime.cuda.graphs import tuned
from pipeline.runtime.fold_batch_norms import fold_batch_norms
from pipeline.runtime.pixels import Preprocessor
from pipeline.runtime.runtime_options import Options
from pipeline.runtime.tensors import motion_of

Answer = tuple[Tensor, ...]
"""Probabilities ``(n, num_classes)`` float32 and attention ``(n, S, T * S_k)`` float16, always present; then
the ``MotionFields`` if the network has dense motion."""


class CudaNetwork:
    """The parts of a step, each capturable as a CUDA graph.

    Args:
        model: The network, on the device.
        normalise: Converts pixels ``(n, rows, columns, 3)`` uint8, blue-green-red, to the model's input.
        kernels: ``fused``, or ``torch`` if Triton does not work.
        options: Runtime options, including the log.
        size: Frame size.

    Attributes:
        model: The network, on the device.
        size: Frame size.
        kernels: Name of the kernels in use.
        layout: Layout of the cached entries.
    """

    def __init__(
        self,
        model: TemporalKVQResNetCBAM,
        normalise: Callable[[Tensor], Tensor],
        kernels: Literal["fused", "torch"],
        options: Options,
        size: Size,
    ) -> None:
        self.model, self.kernels, self.size = model, kernels, size
        self.layout = EntryLayout(model.init_state(1, size))
        self._normalise, self._options = normalise, options
        self._attend: Callable[[Features, Tensor, Tensor], Answer] = self._answer
        if kernels == "fused":
            self._faster = torch.compile(self._answer)
            self._attend = self._compiled

    def resized(self, size: Size) -> "CudaNetwork":
        """The same network for another frame size."""
        return CudaNetwork(self.model, self._normalise, self.kernels, self._options, size)

    def maps(self) -> dict[str, tuple[int, int, int]]:
        """Rows, columns and channels of the cached maps of a frame, by stage."""
        architecture, channels = self.model.architecture, cast(ResNetCBAM, self.model.backbones[-1]).channels
        kept = {stage: (stage, channels[stage]) for stage in {"layer4", *architecture.scales}}
        if architecture.motion:
            kept |= {
                "context": ("layer2", CONTEXT_CHANNELS),
                "match": ("layer2", MATCH_CHANNELS),
                "fine": ("layer1", KEPT_FINE_CHANNELS),
            }
        return {name: (*architecture.grid(stage, self.size), count) for name, (stage, count) in kept.items()}

    def encode(self, pixels: Tensor) -> tuple[Tensor, Features]:
        """Normalised frames and their features from pixels, see ``normalise``."""
        frames = self._normalise(pixels)
        return frames, self.model.encode(frames)

    def answer(self, features: Features, past: Tensor, rows: Tensor) -> Answer:
        """The answer to ``n`` frames.

        Args:
            features: Features of the frames.
            past: Entries of their slots, ``(n, T, length)``, see ``EntryLayout``.
            rows: Row numbers of the entries, ``(n, T)`` int64; 0 for a slot without a frame.
        """
        return self._attend(features, past, rows)

    def entries(self, frames: Tensor, features: Features) -> Tensor:
        """Cache entries of frames, ``(n, length)``."""
        return self.layout.pack(self.model.remember(frames, features))

    def _answer(self, features: Features, past: Tensor, rows: Tensor) -> Answer:
        output = self.model.answer(features, self.layout.state(past, rows > 0), return_attention=True)
        assert output.attention is not None
        return output.logits.float().softmax(dim=1), output.attention.half(), *motion_of(output)

    def _compiled(self, features: Features, past: Tensor, rows: Tensor) -> Answer:
        if len(rows) > 1:  # compiled once for one stream and once for any larger number
            for x in (*features.values(), past, rows):
                torch._dynamo.maybe_mark_dynamic(x, 0)
        try:
            with warnings.catch_warnings():
                # torch advises TF32 for the scores, which must stay in float32
                warnings.filterwarnings("ignore", "TensorFloat32", UserWarning)
                return self._faster(features, past, rows)
        except Exception as error:  # any failure of Triton, driver or compiler
            self._options.log(f"the attention can't be compiled and runs slower: {_first_line(error)}")
            self._attend = self._answer
            return self._answer(features, past, rows)


def open_cuda_network(
    model: TemporalKVQResNetCBAM, device: torch.device, dtype: torch.dtype, options: Options, size: Size
) -> CudaNetwork:
    """A copy of the network, prepared for a CUDA device.

    Without Triton or a C compiler, it falls back to torch's own, slower kernels.

    Args:
        model: The network; not modified.
        device: A CUDA device.
        dtype: Type of weights and features.
        options: Runtime options; the log reports a fallback.
        size: Frame size.
    """
    _keep_compiled_kernels()
    plain = deepcopy(model).eval().requires_grad_(False)
    fold_batch_norms(plain)
    plain.to(device, dtype).to(memory_format=torch.channels_last)
    try:
        return _fused(plain, device, dtype, options, size)
    except Exception as error:  # any failure of Triton, driver or compiler
        options.log(f"fused kernels are not available, using torch's slower ones: {_first_line(error)}")
    preprocess = Preprocessor(model.preprocessing, device, dtype)
    return CudaNetwork(plain, lambda pixels: preprocess.normalised(pixels.flip(-1)), "torch", options, size)


def _fused(
    plain: TemporalKVQResNetCBAM, device: torch.device, dtype: torch.dtype, options: Options, size: Size
) -> CudaNetwork:
    """The network with fused kernels, tested on a blank frame."""
    model, preprocessing = deepcopy(plain), plain.preprocessing
    import_module("pipeline.runtime.cuda.fused_backbone").fuse_backbones(model)
    kernels = import_module("pipeline.runtime.cuda.stem_kernels")
    values = (preprocessing.factor, preprocessing.offset)
    factor, offset = (torch.tensor(x, device=device) for x in values)

    def normalise(pixels: Tensor) -> Tensor:
        frames: Tensor = kernels.normalise(pixels, factor, offset, dtype)
        return frames

    network = CudaNetwork(model, normalise, "fused", options, size)
    with torch.inference_mode(), tuned():
        network.encode(torch.zeros(1, *size, 3, dtype=torch.uint8, device=device))
    return network


def _keep_compiled_kernels() -> None:
    """Caches compiled kernels in this program's cache folder, unless the user has set another one."""
    folder = cache_folder()
    if folder is not None:
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder / "inductor"))
        os.environ.setdefault("TRITON_CACHE_DIR", str(folder / "triton"))


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text[:200]}"
