"""The floor of a step: torchvision's ResNet of the same depth, in the same runtime and precision."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor, nn

from pipeline.base.packages import load_package
from pipeline.base.scratch import scratch_folder
from pipeline.model.preprocessing import Preprocessing
from pipeline.runtime.base import Image
from pipeline.runtime.cuda.cuda_runtime import CudaRuntime
from pipeline.runtime.exported.onnx_runtime import ONNXRuntime
from pipeline.runtime.exported.openvino_runtime import OpenVINORuntime
from pipeline.runtime.exported.quantise import quantise
from pipeline.runtime.fold_batch_norm import fuse_batch_norms
from pipeline.runtime.pixels import Preprocessor, Stretcher
from pipeline.runtime.torch_runtime import TorchRuntime

AnyRuntime = CudaRuntime | TorchRuntime | OpenVINORuntime | ONNXRuntime
Floor = Callable[[Sequence[Image]], None]
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_CALIBRATED_ON = 8


class _PlainStep(nn.Module):
    """Pixels to probabilities, normalised inside as in an exported step."""

    factor: Tensor
    offset: Tensor

    def __init__(self, network: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.network = network
        for name in ("factor", "offset"):
            self.register_buffer(name, torch.tensor(getattr(preprocessing, name)))

    def forward(self, frame: Tensor) -> Tensor:
        """``(B, size, size, 3)`` uint8 to ``(B, 1000)``."""
        logits: Tensor = self.network((frame.float() * self.factor + self.offset).permute(0, 3, 1, 2))
        return logits.softmax(1)


def plain_resnet(depth: int, preprocessing: Preprocessing, runtime: AnyRuntime) -> Floor:
    """A function that takes decoded pictures through resize, copy and torchvision's ResNet.

    Args:
        depth: Of the ResNet; weights are random.
        preprocessing: Size and scale of the pictures.
        runtime: Runs elsewhere; the floor is built on the same one.
    """
    network = torchvision.models.get_model(f"resnet{depth}", weights=None).eval()
    threads = int(runtime.describe()["threads"])
    if isinstance(runtime, CudaRuntime | TorchRuntime):
        device, dtype = torch.device(runtime.device), DTYPES[runtime.precision]
        return _in_torch(network, Preprocessor(preprocessing, device, dtype, threads), device, dtype)
    step = _PlainStep(network, preprocessing).eval()
    if isinstance(runtime, OpenVINORuntime):
        run = _in_openvino(step, preprocessing.size, runtime)
    else:
        run = _in_onnxruntime(step, preprocessing.size, runtime)
    stretch = Stretcher(preprocessing.size, threads)
    return lambda images: run(stretch(images))


def _in_torch(
    network: nn.Module, preprocess: Preprocessor, device: torch.device, dtype: torch.dtype
) -> Floor:
    fuse_batch_norms(network)  # as in our step; the other runtimes do it by themselves
    network.to(device=device, dtype=dtype).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(images: Sequence[Image]) -> None:
        network(preprocess(images)).float().softmax(1).cpu()

    return run


def _in_openvino(step: nn.Module, size: int, runtime: OpenVINORuntime) -> Callable[[Any], None]:
    openvino = load_package("openvino", "openvino")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        model = openvino.convert_model(torch.export.export(step, (_blank(1, size),)))
    model.inputs[0].get_tensor().set_names({"frame"})
    if runtime.precision == "int8":
        dice = np.random.default_rng(0)
        pixels = dice.integers(0, 256, (_CALIBRATED_ON, 1, size, size, 3), np.uint8)
        model = quantise(model, [{"frame": one} for one in pixels])
    request = openvino.Core().compile_model(model, "CPU", runtime.options()).create_infer_request()

    def run(pixels: Any) -> None:
        for row in range(len(pixels)):
            request.infer({"frame": pixels[row : row + 1]}, share_inputs=True)

    return run


def _in_onnxruntime(step: nn.Module, size: int, runtime: ONNXRuntime) -> Callable[[Any], None]:
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
        session = runtime.open_session(path.read_bytes())

    def run(pixels: Any) -> None:
        session.run(None, {"frame": pixels})

    return run


def _blank(batch: int, size: int) -> Tensor:
    return torch.zeros(batch, size, size, 3, dtype=torch.uint8)
