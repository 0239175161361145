"""Names of worker roles; see the table in ``workers.roles``."""

from typing import Final, Literal, TypeAlias, get_args

Role: TypeAlias = Literal["capture", "inference", "sink"]
"""Type of a worker, as used on the wire, in keys, in statistics and in the ledger."""

Listener: TypeAlias = Literal["inference", "sink"]
"""A role that receives from other workers; senders can wait for it."""

ROLES: Final[tuple[Role, ...]] = get_args(Role)
"""All roles, in the order in which a frame passes through them."""

LISTENERS: Final[tuple[Listener, ...]] = get_args(Listener)
