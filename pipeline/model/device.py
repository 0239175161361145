"""Resolves device names and checks them against the devices of this machine."""

import torch


class DeviceError(ValueError):
    """The requested device is not available; the message is one readable line."""


def device_of(name: str, number: int) -> str:
    """The device of worker ``number``: workers are spread over the GPUs unless one is named."""
    count = torch.cuda.device_count() if name in ("auto", "cuda") and torch.cuda.is_available() else 0
    return f"cuda:{number % count}" if count else name


def pick_device(name: str) -> torch.device:
    """Resolves ``auto`` (CUDA if available), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        DeviceError: torch does not support the device, or this machine lacks it.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
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
