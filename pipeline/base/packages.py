"""Optional packages; errors name the command that installs them."""

import importlib.util
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pipeline.base.errors import UserError

EXTRAS = {
    "openvino": ("openvino",),
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "int8": ("openvino", "nncf"),
    "plots": ("matplotlib",),
    "mqtt": ("paho",),
    "push": ("apprise",),
}
"""Extras of this project and the modules that each needs; error messages name the first extra that fits."""
_TELEMETRY = "openvino_telemetry"


class MissingPackageError(UserError, ValueError):
    """An optional package that is not installed, in one readable line."""


def need_extra(extra: str) -> None:
    """Checks that all packages of an extra are installed, without importing them.

    Raises:
        MissingPackageError: One is missing; the message contains the command that installs it.
    """
    for name in EXTRAS[extra]:
        if importlib.util.find_spec(name) is None:
            raise MissingPackageError(f"{name} is not installed: {_command(name)}")


def load_package(name: str) -> Any:
    """Imports an optional package.

    OpenVINO sends telemetry when it is imported; its telemetry module is hidden during the import.

    Args:
        name: A module of ``EXTRAS`` or a submodule of one.

    Raises:
        MissingPackageError: It is not installed; the message contains the command that installs it.
    """
    silenced = name == "openvino" and _TELEMETRY not in sys.modules
    if silenced:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about dependencies, which users can't fix
            return importlib.import_module(name)
    except ImportError as error:
        raise MissingPackageError(f"{name} can't be imported ({error.msg}): {_command(name)}") from None
    finally:
        if silenced:
            del sys.modules[_TELEMETRY]


def package_version(name: str) -> str:
    """``name version`` of an optional package, or ``name missing``, without importing it."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} missing"


def _command(name: str) -> str:
    package = name.partition(".")[0]
    extra = next(extra for extra, packages in EXTRAS.items() if package in packages)
    return f"pip install 'kvq-stream[{extra}]'"
