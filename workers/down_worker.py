"""What the supervisor tells the sink: which other workers have died, and when they start again."""

import msgspec

from pipeline.base.role_names import Role


class DownWorker(msgspec.Struct, frozen=True):
    """A worker of this machine that has died, as its supervisor knows it.

    Attributes:
        role: Which.
        since_ns: Unix time at which that was noticed.
        again_ns: Unix time at which it is started again; what is past: it is starting.
    """

    role: Role
    since_ns: int
    again_ns: int
