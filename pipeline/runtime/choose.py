"""Chooses the backend for ``auto`` on this machine, with the reason."""

from typing import NamedTuple

from pipeline.base.packages import EXTRAS, MissingPackageError, load_package
from pipeline.model.device import cuda_count
from pipeline.runtime.exported.open_openvino import capabilities

# Fastest first, as measured: docs/performance.md, "How long does one step take on a CPU?".
_ON_CPUS = {"openvino": "openvino", "onnxruntime": "onnx"}
"""Backends, and the extra that each needs."""


class Choice(NamedTuple):
    """A backend, and a short human-readable reason."""

    backend: str
    why: str


def choose_backend(device: str, precision: str) -> Choice:
    """The fastest backend that is installed for a device and a precision.

    Args:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...
        precision: ``auto``, ``fp32``, ``fp16``, ``bf16`` or ``int8``.
    """
    if device.startswith("cuda") or (device == "auto" and cuda_count()):
        return Choice("torch", "fastest on a CUDA device")
    if precision == "int8":
        return Choice("openvino", "the only backend with int8")
    if precision == "bf16" and _has_bf16():
        return Choice("openvino", "fastest with bf16 on a CPU")
    if precision not in ("auto", "fp32"):
        return Choice("torch", f"the only backend with {precision}")
    for backend, extra in _ON_CPUS.items():
        try:
            for package in EXTRAS[extra]:
                load_package(package)
        except MissingPackageError:
            continue
        return Choice(backend, "fastest installed backend for a CPU")
    return Choice("torch", "openvino would be about twice as fast on a CPU: pip install openvino")


def _has_bf16() -> bool:
    """Whether OpenVINO is installed and supports bfloat16 on this machine."""
    try:
        return "BF16" in capabilities()
    except MissingPackageError:
        return False
