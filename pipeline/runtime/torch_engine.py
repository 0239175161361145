"""The step on plain torch: the CPU engine, and the reference for `CudaEngine`."""

from collections.abc import Callable, Sequence
from copy import deepcopy

import numpy as np
import numpy.typing as npt
import torch

from pipeline.model.device import pick_device
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.preprocessing import Size
from pipeline.model.state import Entry, entry_of, gather
from pipeline.model.temporal import Features
from pipeline.runtime.engine import About, Answer, Remember
from pipeline.runtime.fold_batch_norms import fold_batch_norms
from pipeline.runtime.pixels import Preprocessor
from pipeline.runtime.precision import DTYPES, pick_precision
from pipeline.runtime.runtime_options import Options
from pipeline.runtime.step import Image, Memory, Part
from pipeline.runtime.tensors import answer_of, floats, part_of, tensor_of


class TorchEngine:
    """See ``Engine``.

    Args:
        model: In eval mode, on its device, in its type and in channels-last layout.
        preprocess: Produces frames of that type on that device.
        precision: Name of the precision, for display.
        threads: CPU threads in use.
        size: Size of the frames.
    """

    backend = "torch"
    most_streams = 16

    def __init__(
        self,
        model: TemporalKVQResNetCBAM,
        preprocess: Preprocessor,
        precision: str,
        threads: int,
        size: Size,
    ) -> None:
        self._model, self._preprocess = model, preprocess
        self._empty = model.init_state(1, size)
        self.device, self.precision, self.threads = str(self._empty.keys.device), precision, threads

    @torch.inference_mode()
    def infer(
        self, images: Sequence[Image], past: Sequence[Sequence[Entry | None]], want_attention: bool
    ) -> tuple[Answer, int, Remember]:
        """See ``Engine``."""
        state, frames = gather(past, self._empty), self._preprocess(images)
        output, features = self._model.predict(frames, state, want_attention)

        @torch.inference_mode()
        def remember() -> tuple[list[Memory], int]:
            entries = self._model.remember(frames, features).split()
            rows = [{stage: x[row].clone() for stage, x in features.items()} for row in range(len(entries))]
            memories = [Memory(entry, row) for entry, row in zip(entries, rows, strict=True)]
            return memories, len(entries) * self._model.architecture.passes_to_remember

        return answer_of(output), len(images), remember

    @torch.inference_mode()
    def infer_known(
        self, features: Sequence[Features], past: Sequence[Sequence[Entry | None]], want_attention: bool
    ) -> Answer:
        """See ``Engine``."""
        together = {stage: torch.stack([row[stage] for row in features]) for stage in features[0]}
        output = self._model.answer(together, gather(past, self._empty), want_attention)
        return answer_of(output)

    @torch.inference_mode()
    def match_keys(self, entry: Entry) -> npt.NDArray[np.float32] | None:
        """See ``Engine``."""
        return None if entry.match is None else floats(entry.match)

    @torch.inference_mode()
    def parts(self, entry: Entry) -> list[Part]:
        """See ``Engine``."""
        return [part_of(part) for part in entry if part is not None]

    @torch.inference_mode()
    def entry(self, parts: Sequence[Part]) -> Entry:
        """See ``Engine``."""
        return entry_of([*map(tensor_of, parts)], self._empty)

    def sizes_to_warm_up(self, batch_size: int) -> Sequence[int]:
        """See ``Engine``."""
        return [batch_size]

    def details(self) -> About:
        """See ``Engine``."""
        return {"device": torch.cuda.get_device_name(self.device)} if self.device.startswith("cuda") else {}


def torch_engines(model: TemporalKVQResNetCBAM, options: Options) -> Callable[[Size], TorchEngine]:
    """Opens engines of all sizes on one copy of the model; sets the thread count of the whole process.

    Raises:
        DeviceError: This machine lacks the device, or the device lacks the precision.
    """
    device = pick_device(options.device)
    precision = pick_precision(options.precision, device)
    threads = options.cpu_threads
    torch.set_num_threads(threads)
    model = deepcopy(model).eval().requires_grad_(False)
    fold_batch_norms(model)
    model.to(device, DTYPES[precision]).to(memory_format=torch.channels_last)

    def engine(size: Size) -> TorchEngine:
        preprocess = Preprocessor(model.preprocessing, device, DTYPES[precision], threads, size)
        return TorchEngine(model, preprocess, precision, threads, size)

    return engine
