"""The lower bound of a step: torchvision's ResNet of the same depth, runtime and precision."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor, nn

from pipeline.base.packages import load_package
from pipeline.base.scratch import scratch_folder
from pipeline.model.preprocessing import Preprocessing, Size
from pipeline.runtime.cuda.device_stretch import DeviceStretch
from pipeline.runtime.cuda.graphs import Captured
from pipeline.runtime.engine import Engine
from pipeline.runtime.exported.open_onnx import open_session
from pipeline.runtime.exported.open_openvino import openvino_options
from pipeline.runtime.exported.quantise import quantise
from pipeline.runtime.fold_batch_norms import fold_batch_norms
from pipeline.runtime.pixels import Preprocessor
from pipeline.runtime.precision import DTYPES
from pipeline.runtime.step import Image
from pipeline.runtime.threaded_stretch import Stretcher

Floor = Callable[[Sequence[Image]], None]
_CALIBRATED_ON = 8


class _PlainStep(nn.Module):
    """A network from pixels to probabilities, including normalisation as in an exported step."""

    factor: Tensor
    offset: Tensor

    def __init__(self, network: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.network = network
        for name in ("factor", "offset"):
            self.register_buffer(name, torch.tensor(getattr(preprocessing, name)))

    def forward(self, frame: Tensor) -> Tensor:
        """Maps images ``(B, rows, columns, 3)``, uint8, to probabilities ``(B, 1000)``."""
        logits: Tensor = self.network((frame.float() * self.factor + self.offset).permute(0, 3, 1, 2))
        return logits.softmax(1)


def plain_resnet(depth: int, preprocessing: Preprocessing, engine: Engine) -> Floor:
    """A function that runs resize, copy and torchvision's ResNet on decoded frames.

    Args:
        depth: Depth of the ResNet; the weights are random.
        preprocessing: Input format.
        engine: The engine to compare with; the same library and device are used.
    """
    network = torchvision.models.get_model(f"resnet{depth}", weights=None).eval()
    if engine.backend == "torch":
        device, dtype = torch.device(engine.device), DTYPES[engine.precision]
        if "kernels" in engine.details():  # the engine uses CUDA graphs, so the lower bound does too
            return _in_cuda_graphs(network, preprocessing, device, dtype)
        return _in_torch(network, Preprocessor(preprocessing, device, dtype, engine.threads), device, dtype)
    step = _PlainStep(network, preprocessing).eval()
    build = _in_openvino if engine.backend == "openvino" else _in_onnxruntime
    size = preprocessing.usual_size
    run, stretch = build(step, size, engine), Stretcher(size, engine.threads)
    return lambda images: run(stretch(images))


def _in_torch(
    network: nn.Module, preprocess: Preprocessor, device: torch.device, dtype: torch.dtype
) -> Floor:
    _ready(network, device, dtype)

    @torch.inference_mode()
    def run(images: Sequence[Image]) -> None:
        network(preprocess(images)).float().softmax(1).cpu()

    return run


def _in_cuda_graphs(
    network: nn.Module, preprocessing: Preprocessing, device: torch.device, dtype: torch.dtype
) -> Floor:
    """Copies, resizes and computes frames on the device with the same tools as our step."""
    _ready(network, device, dtype)
    size = preprocessing.usual_size
    stretch, preprocess = DeviceStretch(size, device), Preprocessor(preprocessing, device, dtype)
    memory = torch.cuda.graph_pool_handle()
    steps: dict[int, tuple[Tensor, Captured[Tensor]]] = {}

    def step(streams: int) -> tuple[Tensor, Captured[Tensor]]:
        pixels = torch.zeros(streams, *size, 3, dtype=torch.uint8, device=device)
        work = partial(_plain, network, preprocess, pixels)
        return pixels, Captured(work, memory)

    @torch.inference_mode()
    def run(images: Sequence[Image]) -> None:
        with torch.cuda.device(device):
            count = len(images)
            if count not in steps:
                steps[count] = step(count)
            pixels, graph = steps[count]
            stretch(images, pixels)
            graph.run().cpu()

    return run


def _plain(network: nn.Module, preprocess: Preprocessor, pixels: Tensor) -> Tensor:
    probabilities: Tensor = network(preprocess.normalised(pixels.flip(-1))).float().softmax(1)
    return probabilities


def _ready(network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    fold_batch_norms(network)  # as in our step; the other runtimes do this automatically
    network.to(device=device, dtype=dtype).to(memory_format=torch.channels_last)


def _in_openvino(step: nn.Module, size: Size, engine: Engine) -> Callable[[Any], None]:
    openvino = load_package("openvino")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        model = openvino.convert_model(torch.export.export(step, (_blank(1, size),)))
    model.inputs[0].get_tensor().set_names({"frame"})
    if engine.precision == "int8":
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 256, (_CALIBRATED_ON, 1, *size, 3), np.uint8)
        model = quantise(model, [{"frame": one} for one in pixels])
    settings = openvino_options(engine.threads, engine.precision)
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()

    def run(pixels: Any) -> None:
        for row in range(len(pixels)):
            request.infer({"frame": pixels[row : row + 1]}, share_inputs=True)

    return run


def _in_onnxruntime(step: nn.Module, size: Size, engine: Engine) -> Callable[[Any], None]:
    with scratch_folder("kvq-bench-") as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        path = folder / "plain.onnx"
        torch.onnx.export(
            step,
            (_blank(2, size),),
            str(path),
            input_names=["frame"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=1024)},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        provider = str(engine.details()["provider"])
        session = open_session(path.read_bytes(), provider, engine.device, engine.threads)

    def run(pixels: Any) -> None:
        session.run(None, {"frame": pixels})

    return run


def _blank(batch: int, size: Size) -> Tensor:
    return torch.zeros(batch, *size, 3, dtype=torch.uint8)
