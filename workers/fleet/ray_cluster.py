"""Access to Ray: the package, the cluster, and a fleet's actors and stored state."""

import os
import socket
from typing import Any

from pipeline.base.errors import UserError

_CONNECT_S = 5.0


class RayError(UserError):
    """Ray is missing, or there is no cluster or no fleet; one line that says what to do."""


def ray() -> Any:
    """The ``ray`` package.

    Raises:
        RayError: Ray is not installed.
    """
    try:
        import ray as package
    except ImportError:
        raise RayError("a fleet needs Ray: pip install 'kvq-stream[fleet]'") from None
    return package


def connect(fleet: str, address: str) -> None:
    """Connects this process to the cluster in a fleet's namespace, unless it is already connected.

    Raises:
        RayError: There is no cluster, or Ray is missing.
    """
    package = ray()
    if package.is_initialized():
        return
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    host, _, port = address.rpartition(":")
    try:
        if port.isdecimal():  # Ray itself would try for minutes
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
        package.init(address, namespace=namespace(fleet), log_to_driver=False, logging_level="error")
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        cause = first_line(error)
        raise RayError(
            f"no Ray cluster at {address!r} ({cause}): run `ray start --head` on one machine and "
            "`ray start --address HEAD:6379` on the others, including this one"
        ) from None


def namespace(fleet: str) -> str:
    """The namespace of a fleet's actors and stored state."""
    return f"kvq-{fleet}"


def names(fleet: str) -> set[str]:
    """Names of all actors of a fleet."""
    actors = ray().util.list_named_actors(all_namespaces=True)
    return {one["name"] for one in actors if one["namespace"] == namespace(fleet)}


def kv() -> Any:
    """The key-value store of Ray's head node; Ray Serve's controller stores its state there, too."""
    ray()
    from ray.experimental import internal_kv

    return internal_kv


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return (str(error).splitlines() or [type(error).__name__])[0]
