"""Packages that only some backends and exports need, asked for in words that say how to get them."""

import importlib.util
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pipeline.base.errors import UserError

_TELEMETRY = "openvino_telemetry"


class MissingPackageError(UserError, ValueError):
    """A package that was not installed, in one line for people."""


def need_package(name: str, extra: str) -> None:
    """Looks whether an optional package is installed, without importing it; see `load_package`.

    Raises:
        MissingPackageError: It is not.
    """
    if importlib.util.find_spec(name) is None:
        raise MissingPackageError(f"{name} is not installed: {_command(extra)}")


def load_package(name: str, extra: str) -> Any:
    """Imports an optional package.

    OpenVINO reports its own import to its makers over the network; this program talks to nobody unasked,
    so that part is hidden while it loads.

    Args:
        name: Of the module.
        extra: The extra of this project that installs it.

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
        raise MissingPackageError(f"{name} can't be imported ({error.msg}): {_command(extra)}") from None
    finally:
        if silenced:
            del sys.modules[_TELEMETRY]


def package_version(name: str) -> str:
    """``name version`` of an optional package, ``name missing`` if it is not installed; not imported."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} missing"


def _command(extra: str) -> str:
    return f"pip install 'kvq-stream[{extra}]', or in a checkout pip install -e '.[{extra}]'"
