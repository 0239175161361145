"""Resolves device names and checks them against the devices of this machine."""

import ctypes
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_AMD_DRIVER = Path("/dev/kfd")


class DeviceError(ValueError):
    """The requested device is not available; the message is one readable line."""


def cuda_count() -> int:
    """Number of CUDA devices; without a driver, torch is not imported, because that is slow."""
    if "torch" not in sys.modules and not _may_have_gpu():
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def device_of(name: str, number: int) -> str:
    """The device of worker ``number``: workers are spread over the GPUs unless ``name`` selects a device."""
    count = cuda_count() if name in ("auto", "cuda") else 0
    return f"cuda:{number % count}" if count else name


def pick_device(name: str) -> "torch.device":
    """Resolves ``auto`` (CUDA if available), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        DeviceError: torch does not support the device, or this machine lacks it.
    """
    import torch

    count = cuda_count()
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")  # rejected below
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device {name!r}: choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= count:
        raise DeviceError(
            f"device {name}: torch sees {count or 'no'} CUDA device(s) here; choose auto or cpu"
        )
    return device


def _may_have_gpu() -> bool:
    """Whether a driver is installed through which torch may find ``cuda`` devices."""
    if not sys.platform.startswith("linux") or _AMD_DRIVER.exists():
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
