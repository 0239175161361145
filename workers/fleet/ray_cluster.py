"""Access to Ray: the package, the cluster, and a fleet's actors and stored state."""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError
from workers.fleet.node_room import NodeRoom

_CONNECT_S = 5.0
_REFUSED = "InvalidAuthToken"
_TOKEN = "keys/ray_token"


class RayError(UserError):
    """Ray is missing, or there is no cluster or no fleet; the message is one line that states what to do."""


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
    """Connects this process to the Ray cluster, using the fleet's namespace, unless it is already connected.

    Raises:
        RayError: There is no cluster, or Ray is missing.
    """
    package = ray()
    if package.is_initialized():
        return
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "5")  # otherwise 20 s if the token is refused
    host, _, port = address.rpartition(":")
    try:
        if port.isdecimal():  # without this check, Ray would retry for minutes
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
        with _without_stderr():
            package.init(address, namespace=namespace(fleet), log_to_driver=False, logging_level="error")
    except (OSError, OverflowError, RuntimeError, ValueError, package.exceptions.RayError) as error:
        if isinstance(error, package.exceptions.AuthenticationError) or _REFUSED in str(error.__cause__):
            raise RayError(f"Ray at {address!r} requires its token: {_token_trouble()}") from None
        cause = first_line(error)
        raise RayError(
            f"no Ray cluster at {address!r} ({cause}): run `ray start --head` on one machine and "
            "`ray start --address HEAD:6379` on the others, including this one"
        ) from None


def _token_trouble() -> str:
    """Why Ray refuses this process, and what to do."""
    export = f"run `export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$PWD/{_TOKEN}` in the fleet's folder"
    file = os.environ.get("RAY_AUTH_TOKEN_PATH", "")
    if not file and "RAY_AUTH_TOKEN" not in os.environ:
        return f"RAY_AUTH_TOKEN_PATH is not set: {export}"
    if os.environ.get("RAY_AUTH_MODE") != "token":
        return f"RAY_AUTH_MODE is not set to token: {export}"
    if file and not (Path(file).is_file() and Path(file).stat().st_size):
        return f"RAY_AUTH_TOKEN_PATH={file} is not a file with a token: copy {_TOKEN} from the head node"
    return f"the token in {file or 'RAY_AUTH_TOKEN'} is not the cluster's: copy {_TOKEN} from the head node"


@contextlib.contextmanager
def _without_stderr() -> Iterator[None]:
    """Discards standard error: Ray's library logs each failed attempt there, whatever its log level."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def namespace(fleet: str) -> str:
    """The namespace of a fleet's actors and stored state."""
    return f"kvq-{fleet}"


def names(fleet: str) -> set[str]:
    """Names of all actors of a fleet."""
    actors = ray().util.list_named_actors(all_namespaces=True)
    return {one["name"] for one in actors if one["namespace"] == namespace(fleet)}


def fleets_with(actor: str) -> list[str]:
    """Names of the fleets that have an actor of this name."""
    actors = ray().util.list_named_actors(all_namespaces=True)
    prefix = namespace("")
    found = [one["namespace"] for one in actors if one["name"] == actor]
    return sorted(one.removeprefix(prefix) for one in found if one.startswith(prefix))


def is_placed(actor: Any) -> bool:
    """Whether an actor has a process; it may still be starting there."""
    from ray._private import state

    about = state.actors(actor._actor_id.hex())
    ports = {0} | {node["NodeManagerPort"] for node in ray().nodes()}  # of a node manager: not placed yet
    return not about or about["Address"]["Port"] not in ports


def nodes_with_room() -> list[NodeRoom]:
    """All nodes of the cluster that are up, with their free resources."""
    from ray._private import state

    free = state.available_resources_per_node()  # type: ignore[no-untyped-call]
    return [
        NodeRoom(
            host=node["NodeManagerAddress"],
            labels=node["Labels"],
            cpus=free.get(node["NodeID"], {}).get("CPU", 0.0),
            gpus=free.get(node["NodeID"], {}).get("GPU", 0.0),
        )
        for node in ray().nodes()
        if node["Alive"]
    ]


def kv() -> Any:
    """The key-value store of Ray's head node; Ray Serve's controller stores its state there, too."""
    ray()
    from ray.experimental import internal_kv

    return internal_kv


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return (str(error).splitlines() or [type(error).__name__])[0]
