"""Shares streams between inference workers; each computes the same assignment independently."""

from collections.abc import Mapping

import msgspec

from pipeline.base.config import Config
from pipeline.base.errors import ConfigError
from pipeline.base.role_names import Role
from pipeline.flow.placement import place
from pipeline.runtime.cpu_threads import default_threads
from workers.roles import SYSTEM, Endpoint

_SHARED: Role = "inference"
_BOUND: tuple[Endpoint, ...] = ("predictions", "inference_stats")
"""Endpoints that each inference worker binds at its own address."""


def worker_names(role: Role, config: Config) -> list[str]:
    """Names of the workers of a role on this machine: the role, with a number if there are several."""
    count = config.inference.workers if role == _SHARED else 1
    return [role] if count == 1 else [f"{role}-{number}" for number in range(1, count + 1)]


def role_of(name: str) -> Role:
    """The role of a worker with one of ``worker_names``."""
    return next(role for role in SYSTEM if name.partition("-")[0] == role)


def expected(config: Config) -> Mapping[str, int]:
    """Number of workers of each role, on all machines."""
    several = max(config.inference.workers, len(config.inference.shared_by))
    return {role: several if role == _SHARED else 1 for role in SYSTEM}


def own_streams(config: Config) -> list[str] | None:
    """The streams of the inference worker ``inference.name``; None for all current and future streams."""
    if config.inference.assigned:
        return []  # assigned later over HTTP
    return shares(config)[config.inference.name] if config.inference.shared_by else None


def shares(config: Config) -> dict[str, list[str]]:
    """The streams of each of several inference workers, by name; empty if there is only one."""
    inference = config.inference
    names = inference.shared_by or (worker_names(_SHARED, config) if inference.workers > 1 else [])
    placed = place({stream.id: 1.0 for stream in config.streams}, dict.fromkeys(names, 1.0)) if names else {}
    return {name: [stream_id for stream_id, its in placed.items() if its == name] for name in names}


def check_sharing(config: Config) -> None:
    """Checks before inference starts that the streams can be shared as configured.

    Raises:
        ConfigError: They can't be shared; the message is one line that names the key.
    """
    inference = config.inference
    if inference.assigned and inference.shared_by:
        raise ConfigError("inference.assigned and inference.shared_by: only one of them can be used")
    if inference.assigned and not config.control.listen:
        raise ConfigError("inference.assigned needs control.listen: streams are assigned over HTTP")
    if inference.shared_by:
        if inference.workers != 1:
            raise ConfigError("inference.workers and inference.shared_by: only one of them can be used")
        if len(set(inference.shared_by)) < len(inference.shared_by):
            raise ConfigError("inference.shared_by: two workers have the same name")
        if inference.name not in inference.shared_by:
            names = ", ".join(inference.shared_by)
            raise ConfigError(f"inference.name: {inference.name!r} is not in inference.shared_by ({names})")
        if not config.streams:
            raise ConfigError(
                "inference.shared_by: give each inference worker the same [[streams]] as capture, "
                "so that all compute the same assignment"
            )
    for name in _BOUND:
        places = getattr(config.endpoints, name)
        if len(places) < inference.workers and not places[0].startswith("ipc://"):
            raise ConfigError(
                f"endpoints.{name} has {len(places)} address(es): inference.workers = {inference.workers} "
                "needs one for each, this machine's own first"
            )


def check_alone(config: Config) -> None:
    """Checks that an inference worker started on its own is configured as a single worker.

    Raises:
        ConfigError: ``inference.workers`` is more than 1.
    """
    if config.inference.workers > 1:
        raise ConfigError(
            "inference.workers: this command starts a single worker; to run several, give each its own "
            "inference.name, and all the same inference.shared_by"
        )


def with_endpoints(config: Config) -> Config:
    """The configuration with a separate endpoint for each inference worker of this machine."""
    count = config.inference.workers
    changed = {}
    for name in _BOUND:
        places = list(getattr(config.endpoints, name))
        missing = [f"{places[0]}-{number}" for number in range(len(places) + 1, count + 1)]
        changed[name] = [*places, *missing]
    return msgspec.structs.replace(config, endpoints=msgspec.structs.replace(config.endpoints, **changed))


def config_of(name: str, role: Role, config: Config) -> Config:
    """The configuration of one worker of this machine: its name, endpoints and share of the CPU threads."""
    names = worker_names(role, config)
    if len(names) == 1:
        return config
    number = names.index(name)
    inference = msgspec.structs.replace(
        config.inference,
        workers=1,
        name=name,
        shared_by=names,
        threads=config.inference.threads or max(default_threads() // len(names), 1),
    )
    endpoints = {}
    for key in _BOUND:
        places = list(getattr(config.endpoints, key))
        endpoints[key] = [places[number], *places[:number], *places[number + 1 :]]
    return msgspec.structs.replace(
        config, inference=inference, endpoints=msgspec.structs.replace(config.endpoints, **endpoints)
    )
