"""The table of workers: class, endpoints, and the order of start and stop.

::

    capture ──frames──> inference ──predictions──> sink
        └───────────────frames─────────────────────┘
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from pipeline.base.config import EndpointsConfig
from pipeline.base.role_names import Role

Endpoint: TypeAlias = Literal["frames", "predictions", "capture_stats", "inference_stats", "sink_stats"]
"""A key of ``[endpoints]``."""


@dataclass(frozen=True, slots=True)
class RoleInfo:
    """One kind of worker.

    Attributes:
        worker_class: ``module:class``; imported only in the process that runs it.
        stats: Endpoint of its statistics, to which monitors connect.
        binds: Endpoint of its output; None if it has none.
        connects: Endpoints from which it receives.
        stop_turn: Workers of turn 0 are asked to stop first; those of turn 1 once all frames in flight have
            been shown.
    """

    worker_class: str
    stats: Endpoint
    binds: Endpoint | None
    connects: tuple[Endpoint, ...]
    stop_turn: int


SYSTEM: Final[Mapping[Role, RoleInfo]] = {
    "sink": RoleInfo(
        worker_class="workers.sink:SinkWorker",
        stats="sink_stats",
        binds=None,
        connects=("frames", "predictions"),
        stop_turn=1,
    ),
    "inference": RoleInfo(
        worker_class="workers.inference:InferenceWorker",
        stats="inference_stats",
        binds="predictions",
        connects=("frames",),
        stop_turn=1,
    ),
    "capture": RoleInfo(
        worker_class="workers.capture:CaptureWorker",
        stats="capture_stats",
        binds="frames",
        connects=(),
        stop_turn=0,
    ),
}
"""All roles in start order: receivers before senders."""


def load_class(role: Role) -> Any:
    """Imports and returns the class of a role's worker."""
    module, _, name = SYSTEM[role].worker_class.partition(":")
    return getattr(importlib.import_module(module), name)


def bound_endpoint(role: Role, endpoints: EndpointsConfig) -> str:
    """The endpoint of a worker's output."""
    binds = SYSTEM[role].binds
    assert binds is not None, f"a {role} worker publishes statistics only"
    return str(getattr(endpoints, binds)[0])


def bound_by(key: Endpoint) -> Role:
    """The role of the workers that publish at a key of ``[endpoints]``."""
    return next(role for role, info in SYSTEM.items() if info.binds == key)


def connections(role: Role, endpoints: EndpointsConfig) -> list[tuple[Endpoint, Role, str]]:
    """The endpoints from which a worker receives: key, role of the worker that publishes there, endpoint."""
    keys = SYSTEM[role].connects
    return [(key, bound_by(key), text) for key in keys for text in getattr(endpoints, key)]


def connected_endpoints(role: Role, endpoints: EndpointsConfig) -> list[list[str]]:
    """The endpoints from which a worker receives, in the order of the table."""
    return [list(getattr(endpoints, name)) for name in SYSTEM[role].connects]


def stats_endpoints(role: Role, endpoints: EndpointsConfig) -> list[str]:
    """The statistics endpoints of a role's workers, this machine's own first."""
    return list(getattr(endpoints, SYSTEM[role].stats))
