"""Ray itself: the package, the cluster, and the actors and small things that a fleet has there."""

import os
import socket
from typing import Any

from pipeline.base.errors import UserError

_CONNECT_S = 5.0


class RayError(UserError):
    """Ray is missing, or there is no cluster or no fleet; one line, with what to do."""


def ray() -> Any:
    """The package.

    Raises:
        RayError: It is not installed.
    """
    try:
        import ray as package
    except ImportError:
        raise RayError("a fleet needs Ray: pip install 'kvq-stream[fleet]'") from None
    return package


def connect(fleet: str, address: str) -> None:
    """Connects this process to the cluster, in the namespace of a fleet; once.

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
            f"no Ray cluster at {address!r} ({cause}): `ray start --head` on one machine, "
            "`ray start --address HEAD:6379` on the others, among them this one"
        ) from None


def namespace(fleet: str) -> str:
    """In which a fleet has its actors, and what is kept of it."""
    return f"kvq-{fleet}"


def names(fleet: str) -> set[str]:
    """Of all actors of a fleet."""
    actors = ray().util.list_named_actors(all_namespaces=True)
    return {one["name"] for one in actors if one["namespace"] == namespace(fleet)}


def kv() -> Any:
    """Where Ray's head keeps small things for others; Ray Serve's controller, too, keeps its state there."""
    ray()
    from ray.experimental import internal_kv

    return internal_kv


def first_line(error: Exception) -> str:
    """Of what an error says."""
    return (str(error).splitlines() or [type(error).__name__])[0]
