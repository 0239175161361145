"""Topics: the first part of every message, by which a publisher decides who gets it.

::

    f.newest.<stream_id>.   f.every.<stream_id>.    frames and their end of stream, from capture
    p.newest.<stream_id>.   p.every.<stream_id>.    predictions and the end of stream, from inference
    s.                                              figures of one worker
    role.inference          role.sink               subscribed to only to say "I listen"

``newest`` and ``every`` are two lanes: a receiver uses a connection of its own for each, so that
back-pressure on files never delays live streams. The final dot keeps stream ``a`` apart from ``ab``.
"""

from typing import Literal, TypeAlias

from pipeline.frame import Policy

Role: TypeAlias = Literal["capture", "inference", "sink"]
"""A kind of worker; also whose public key a connection needs."""

STATS = b"s."
_ROLE = b"role."


def frames(policy: Policy, stream_id: str = "") -> bytes:
    """Topic of a stream's frames; without a stream, the prefix of all of that lane."""
    return _topic("f", policy, stream_id)


def predictions(policy: Policy, stream_id: str = "") -> bytes:
    """Topic of a stream's predictions; without a stream, the prefix of all of that lane."""
    return _topic("p", policy, stream_id)


def loses_nothing(topic: bytes | memoryview) -> bool:
    """Whether messages of this topic wait for slow receivers instead of being dropped."""
    return bytes(topic[2:8]) == b"every."


def role(name: Role) -> bytes:
    """Topic by which a receiver says what it is."""
    return _ROLE + name.encode()


def role_of(topic: bytes) -> str | None:
    """The role that a subscription announces, None if it is an ordinary one."""
    name = topic.removeprefix(_ROLE).decode("ascii", "replace")
    return name if topic.startswith(_ROLE) and name in ("inference", "sink") else None


def _topic(kind: str, policy: Policy, stream_id: str) -> bytes:
    return f"{kind}.{policy}.{stream_id}.".encode() if stream_id else f"{kind}.{policy}.".encode()
