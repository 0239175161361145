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
"""Probabilities ``(n, num_classes)`` float32 and attention ``(n, S, T * S_k)`` float16, never left out; then
the ``MotionFields`` of a network with dense motion."""


class CudaNetwork:
    """The parts of a step, as work that can be captured.

    Args:
        model: On the device.
        normalise: Pixels ``(n, rows, columns, 3)`` uint8, blue-green-red, to frames as the model takes them.
        kernels: ``fused``, or ``torch`` where Triton does not work.
        options: Where it reports to.
        size: Of the pictures.

    Attributes:
        model: See above.
        size: See above.
        kernels: See above.
        layout: Of what is remembered.
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
        """The same network for pictures of another size."""
        return CudaNetwork(self.model, self._normalise, self.kernels, self._options, size)

    def maps(self) -> dict[str, tuple[int, int, int]]:
        """Rows, columns and channels of the maps that a step keeps of a picture, by stage."""
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
            features: Of the frames.
            past: Entries of their slots, ``(n, T, length)``, see ``EntryLayout``.
            rows: Which entries these are, ``(n, T)`` int64; 0 for a slot without a frame.
        """
        return self._attend(features, past, rows)

    def entries(self, frames: Tensor, features: Features) -> Tensor:
        """What to remember of frames, ``(n, length)``."""
        return self.layout.pack(self.model.remember(frames, features))

    def _answer(self, features: Features, past: Tensor, rows: Tensor) -> Answer:
        output = self.model.answer(features, self.layout.state(past, rows > 0), return_attention=True)
        assert output.attention is not None
        return output.logits.float().softmax(dim=1), output.attention.half(), *motion_of(output)

    def _compiled(self, features: Features, past: Tensor, rows: Tensor) -> Answer:
        if len(rows) > 1:  # one compilation for one stream, one for any other number
            for x in (*features.values(), past, rows):
                torch._dynamo.maybe_mark_dynamic(x, 0)
        try:
            with warnings.catch_warnings():
                # the scores stay in float32 on purpose
                warnings.filterwarnings("ignore", "TensorFloat32", UserWarning)
                return self._faster(features, past, rows)
        except Exception as error:  # as above
            self._options.log(f"the attention can't be compiled and is slower: {_first_line(error)}")
            self._attend = self._answer
            return self._answer(features, past, rows)


def open_cuda_network(
    model: TemporalKVQResNetCBAM, device: torch.device, dtype: torch.dtype, options: Options, size: Size
) -> CudaNetwork:
    """A copy of the network, made ready for a CUDA device.

    Where Triton or a C compiler is missing, torch's own kernels do the same, slower.

    Args:
        model: The network; it stays as it is.
        device: A CUDA device.
        dtype: Of weights and features.
        options: Where it reports what can't be had.
        size: Of the pictures.
    """
    _keep_compiled_kernels()
    plain = deepcopy(model).eval().requires_grad_(False)
    fold_batch_norms(plain)
    plain.to(device, dtype).to(memory_format=torch.channels_last)
    try:
        return _fused(plain, device, dtype, options, size)
    except Exception as error:  # whatever a missing or broken Triton, driver or compiler raises
        options.log(f"fused kernels can't be had, torch's own are slower: {_first_line(error)}")
    preprocess = Preprocessor(model.preprocessing, device, dtype)
    return CudaNetwork(plain, lambda pixels: preprocess.normalised(pixels.flip(-1)), "torch", options, size)


def _fused(
    plain: TemporalKVQResNetCBAM, device: torch.device, dtype: torch.dtype, options: Options, size: Size
) -> CudaNetwork:
    """The network with fused kernels, tried out on a blank frame."""
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
    """Compiled kernels survive in our own cache folder, unless the user has named another."""
    folder = cache_folder()
    if folder is not None:
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder / "inductor"))
        os.environ.setdefault("TRITON_CACHE_DIR", str(folder / "triton"))


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text[:200]}"
