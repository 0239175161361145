"""Number formats by the names used in settings."""

import torch

from pipeline.model.device import DeviceError

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def pick_precision(name: str, device: torch.device) -> str:
    """Resolves ``auto`` (float16 on a GPU, otherwise float32), ``fp32``, ``fp16`` or ``bf16``.

    Raises:
        DeviceError: Unknown precision, or the device lacks it.
    """
    if name == "auto":
        return "fp16" if device.type == "cuda" else "fp32"
    if name == "int8":
        raise DeviceError(
            "precision int8 requires OpenVINO on a CPU: set runtime.backend=openvino, "
            f"or choose auto, {', '.join(DTYPES)}"
        )
    if name not in DTYPES:
        raise DeviceError(f"precision {name!r}: choose auto, {', '.join(DTYPES)}")
    if name == "fp16" and device.type == "cpu":
        raise DeviceError("precision fp16 needs a CUDA device; on a CPU choose auto, fp32 or bf16")
    return name
