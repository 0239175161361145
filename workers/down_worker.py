"""Messages from the supervisor to the sink about workers that died or restarted."""

import msgspec

from pipeline.base.role_names import Role


class DownWorker(msgspec.Struct, frozen=True):
    """A dead worker of this machine, as reported by its supervisor.

    Attributes:
        name: The worker's name.
        role: The worker's role.
        since_ns: Unix time at which the death was detected.
        again_ns: Unix time of its next start; if in the past, it is starting.
        streams: Streams whose predictions are missing while it is down; None for all.
    """

    name: str
    role: Role
    since_ns: int
    again_ns: int
    streams: list[str] | None = None
