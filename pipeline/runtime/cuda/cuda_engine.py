"""The CUDA engine: captured graphs, with past frames in tables on the device."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.preprocessing import Size
from pipeline.model.state import entry_of
from pipeline.runtime.cuda.captured_step import CudaStep
from pipeline.runtime.cuda.cuda_network import CudaNetwork, open_cuda_network
from pipeline.runtime.cuda.device_stretch import DeviceStretch
from pipeline.runtime.cuda.graphs import padded
from pipeline.runtime.cuda.rows import Row, Rows
from pipeline.runtime.engine import About, Answer, Remember
from pipeline.runtime.precision import DTYPES, pick_precision
from pipeline.runtime.runtime_options import Options
from pipeline.runtime.step import Image, Memory, Part
from pipeline.runtime.tensors import fetched, floats, part_of, tensor_of


class CudaEngine:
    """See ``Engine``. Entries and features are ``Row`` handles of tables on the device.

    A batch is padded to the next power of two. The graphs for a batch size are captured at its first use,
    which may take seconds; warm-up does this in advance.

    Args:
        network: The network, on the device.
        device: A CUDA device.
        precision: Name of the precision, for display.
        options: Runtime options, including the log.
    """

    backend = "torch"

    def __init__(self, network: CudaNetwork, device: torch.device, precision: str, options: Options) -> None:
        self._network, self._where, self._options = network, device, options
        self.device, self.precision, self.threads = str(device), precision, options.cpu_threads
        model = network.model
        self._size = rows, columns = network.size
        self._empty = empty = model.init_state(1, self._size)
        self._num_past = model.num_past
        self._entries = Rows((network.layout.length,), empty.keys)
        self._features = {stage: Rows(shape, empty.keys) for stage, shape in network.maps().items()}
        self._uploads = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._memory = torch.cuda.graph_pool_handle(), torch.cuda.graph_pool_handle()
        self._stretch = DeviceStretch(self._size, device)
        # kernels use 32-bit indices, and the largest maps have 16 values per pixel of the batch
        self._limit = (2**31 - 1) // (16 * rows * columns)
        self.most_streams = min(128, 1 << (self._limit.bit_length() - 1))
        self._steps: dict[int, CudaStep] = {}
        self._passes_later = model.architecture.passes_to_remember
        self._turn = 0  # counts batches of new frames; each overwrites the fixed memory

    @torch.inference_mode()
    def infer(
        self, images: Sequence[Image], past: Sequence[Sequence[Row | None]], want_attention: bool
    ) -> tuple[Answer, int, Remember]:
        """See ``Engine``."""
        with torch.cuda.device(self._where):
            step, count = self.step_for(len(images)), len(images)
            self._turn += 1
            turn = self._turn
            with torch.cuda.stream(self._uploads):  # overlaps with work on the previous frames
                self._stretch(images, step.pixels)
            self._read_past(step, past)
            torch.cuda.current_stream().wait_stream(self._uploads)
            _, _, answer = step.new.run()

            @torch.inference_mode()
            def remember() -> tuple[list[Memory], int]:
                if self._turn != turn:
                    raise ValueError("call remember before the next infer, which reuses the step's memory")
                with torch.cuda.device(self._where):
                    return self._memories(step, count), count * self._passes_later

            return _answer(step.fetch(answer, count, want_attention), want_attention), count, remember

    @torch.inference_mode()
    def infer_known(
        self,
        features: Sequence[dict[str, Row]],
        past: Sequence[Sequence[Row | None]],
        want_attention: bool,
    ) -> Answer:
        """See ``Engine``."""
        with torch.cuda.device(self._where):
            step, count = self.step_for(len(features)), len(features)
            again = step.again()
            self._read_past(step, past)
            numbers = step.origins([[row[stage].number for row in features] for stage in step.known])
            for line, (stage, target) in zip(numbers, step.known.items(), strict=True):
                self._features[stage].read(line, target[:count])
            return _answer(step.fetch(again.run(), count, want_attention), want_attention)

    def _memories(self, step: CudaStep, count: int) -> list[Memory]:
        _, features, _ = step.new.outputs
        values = {stage: maps[:count].permute(0, 2, 3, 1) for stage, maps in features.items()}
        entries = self._entries.take(count)
        kept = {stage: self._features[stage].take(count) for stage in values}
        lines = step.targets([[row.number for row in rows] for rows in (entries, *kept.values())])
        self._entries.write(lines[0], step.keep.run()[:count])
        for line, (stage, maps) in zip(lines[1:], values.items(), strict=True):
            self._features[stage].write(line, maps)
        return [Memory(entry, {stage: kept[stage][n] for stage in kept}) for n, entry in enumerate(entries)]

    @torch.inference_mode()
    def match_keys(self, entry: Row) -> npt.NDArray[np.float32] | None:
        """See ``Engine``."""
        match = self._network.layout.match(self._entries.table[entry.number])
        return None if match is None else floats(match)

    @torch.inference_mode()
    def parts(self, entry: Row) -> list[Part]:
        """See ``Engine``."""
        return [part_of(part) for part in self._network.layout.parts(self._entries.table[entry.number])]

    @torch.inference_mode()
    def entry(self, parts: Sequence[Part]) -> Row:
        """See ``Engine``."""
        packed = self._network.layout.pack(entry_of([*map(tensor_of, parts)], self._empty).batched())
        with torch.cuda.device(self._where):
            (row,) = self._entries.take(1)
            self._entries.write(torch.tensor([row.number], device=self._where), packed)
        return row

    def sizes_to_warm_up(self, batch_size: int) -> Sequence[int]:
        """See ``Engine``; includes all smaller batch sizes."""
        return [1 << power for power in range(padded(batch_size).bit_length())]

    def details(self) -> About:
        """See ``Engine``."""
        return {"device": torch.cuda.get_device_name(self._where), "kernels": self._network.kernels}

    def step_for(self, count: int) -> CudaStep:
        """The step for ``count`` streams; captured at its first use."""
        size = padded(count)
        if size > self._limit:
            rows, columns = self._size
            raise ValueError(
                f"{count} streams of {columns}x{rows} px in one step: the maximum is {self.most_streams}"
            )
        if size not in self._steps:
            started = time.monotonic()
            self._steps[size] = CudaStep(self._network, size, self._size, self._entries, self._memory)
            self._options.log(f"ready for batches of {size} streams ({time.monotonic() - started:.1f} s)")
        return self._steps[size]

    def _read_past(self, step: CudaStep, past: Sequence[Sequence[Row | None]]) -> None:
        for slots in past:
            if len(slots) != self._num_past:
                raise ValueError(f"{len(slots)} slots given, the model has {self._num_past}")
        numbers = [[0 if row is None else row.number for row in slots] for slots in past]
        step.read_past(numbers, self._entries)


def _answer(outputs: Sequence[Tensor], want_attention: bool) -> Answer:
    probabilities, *motion = outputs
    attention = motion.pop(0) if want_attention else None
    return fetched(probabilities, attention, motion)


def cuda_engines(
    model: TemporalKVQResNetCBAM, device: torch.device, options: Options
) -> Callable[[Size], CudaEngine]:
    """A factory of engines for any frame size, sharing one copy of the model on a CUDA device.

    Raises:
        DeviceError: The device does not support the precision.
    """
    precision = pick_precision(options.precision, device)
    torch.set_num_threads(options.cpu_threads)
    networks: list[CudaNetwork] = []

    def engine(size: Size) -> CudaEngine:
        with torch.cuda.device(device):
            if networks:
                network = networks[0].resized(size)
            else:
                network = open_cuda_network(model, device, DTYPES[precision], options, size)
                networks.append(network)
            return CudaEngine(network, device, precision, options)

    return engine
