"""Torch on whatever device there is."""

from collections.abc import Callable

from pipeline.model.device import pick_device
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.runtime.cuda_runtime import CudaRuntime
from pipeline.runtime.torch_runtime import TorchRuntime


def open_torch(
    model: TemporalKVQResNetCBAM,
    device: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    name: str = "model",
    *,
    say: Callable[[str], None] = print,
) -> CudaRuntime | TorchRuntime:
    """The runtime for a device; arguments as in ``open_runtime``.

    Raises:
        DeviceError: This machine lacks the device, or the device the precision.
    """
    where = pick_device(device)
    if where.type == "cuda":
        return CudaRuntime(model, where, precision, threads, name, say=say)
    return TorchRuntime(model, str(where), precision, threads, name)
