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
"""Extras of this project, and the modules that each installs; a module belongs to the first that has it."""
_TELEMETRY = "openvino_telemetry"


class MissingPackageError(UserError, ValueError):
    """A package that was not installed, in one readable line."""


def need_extra(extra: str) -> None:
    """Looks whether all of an extra is installed, without importing it.

    Raises:
        MissingPackageError: It is not; the message holds the command that installs it.
    """
    for name in EXTRAS[extra]:
        if importlib.util.find_spec(name) is None:
            raise MissingPackageError(f"{name} is not installed: {_command(name)}")


def load_package(name: str) -> Any:
    """Imports an optional package.

    OpenVINO reports its own import to its makers over the network; this program talks to nobody unasked,
    so that part is hidden while it loads.

    Args:
        name: Of the module, one of ``EXTRAS`` or in one of them.

    Raises:
        MissingPackageError: It is not installed; the message holds the command that installs it.
    """
    silenced = name == "openvino" and _TELEMETRY not in sys.modules
    if silenced:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of their own dependencies; nothing that a user could act on
            return importlib.import_module(name)
    except ImportError as error:
        raise MissingPackageError(f"{name} can't be imported ({error.msg}): {_command(name)}") from None
    finally:
        if silenced:
            del sys.modules[_TELEMETRY]


def package_version(name: str) -> str:
    """``name version`` of an optional package, ``name missing`` if it is not installed; not imported."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} missing"


def _command(name: str) -> str:
    package = name.partition(".")[0]
    extra = next(extra for extra, packages in EXTRAS.items() if package in packages)
    return f"pip install 'kvq-stream[{extra}]'"
