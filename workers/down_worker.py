"""Messages from the supervisor to the sink about workers that died or restarted."""

import msgspec

from pipeline.base.role_names import Role


class DownWorker(msgspec.Struct, frozen=True):
    """A worker of this machine that has died, as its supervisor knows it.

    Attributes:
        name: Which.
        role: Of it.
        since_ns: Unix time at which that was noticed.
        again_ns: Unix time at which it is started again; what is past: it is starting.
        streams: Whose predictions are missing while it is down; None for all.
    """

    name: str
    role: Role
    since_ns: int
    again_ns: int
    streams: list[str] | None = None
