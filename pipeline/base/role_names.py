"""Names of worker roles; ``workers.roles`` has their table."""

from typing import Final, Literal, TypeAlias, get_args

Role: TypeAlias = Literal["capture", "inference", "sink"]
"""A kind of worker: what it is called on the wire, in keys, in statistics and in the ledger."""

Listener: TypeAlias = Literal["inference", "sink"]
"""A role that receives from other workers, which can wait for it."""

ROLES: Final[tuple[Role, ...]] = get_args(Role)
"""In the order in which a frame meets them."""

LISTENERS: Final[tuple[Listener, ...]] = get_args(Listener)
