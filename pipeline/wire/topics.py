"""Topics: the first part of each message, which selects its receivers.

::

    f.newest.<stream_id>.   f.every.<stream_id>.    frames, from capture
    p.newest.<stream_id>.   p.every.<stream_id>.    predictions, from inference
    (one of these)end                               the end of that stream
    s.                                              what one worker counted
    offer.<lane>.<stream_id>.                       memory that frames will lie in: see ``segment``
    a.<lane>.<segment>.                             frames without that memory, for who can't open it
    flush.<lane>.                                   "acknowledge this when all before it is taken"
    again.<reader>.<stream_id>                      the last frames of a live stream, in one, for one reader

``newest`` and ``every`` are two lanes: a receiver uses a connection of its own for each, so that
back-pressure on files never delays live streams. The final dot keeps stream ``a`` apart from ``ab``;
who subscribes to ``a`` alone hears of ``a.b`` too, and leaves it out.

A receiver speaks to its publishers by subscribing, which they get to see:

::

    role.<lane>.inference   role.<lane>.sink       "I listen on this lane"
    reader.<lane>.<reader>.         "this is me, on this lane, for all streams"
    reader.<lane>.<reader>.<stream_id>             "... for this one"
    again.<reader>.                 "send me the last frames of all live streams once more"
    again.<reader>.<stream_id>                     "... of this one"
    taken.<reader>.<token>          "I have taken that end of stream, or that flush"
    age.<packed version, Feedback>  "this is how old your frames are when they are predicted"
    view.<packed version, TakeView> "take what this camera shows as its view" (the sink, to inference)
    opened.<segment>.<reader>       "I can read that memory"
    closed.<segment>.<reader>       "I can't"

A reader is named after its role, with a number that nobody else has.
"""

import secrets
import zlib
from functools import lru_cache

from pipeline.base.frame import Policy
from pipeline.base.role_names import Role

STATS = b"s."
MAX_BYTES = 512
"""More than any topic of ours has: a stream id has at most 64 letters of 4 bytes."""
_AGAIN = b"again."
_END = b".end"
_AGE = b"age."
_VIEW = b"view."


def frames(policy: Policy, stream_id: str = "") -> bytes:
    """Topic of a stream's frames; without a stream, the prefix of all of that lane."""
    return _topic("f", policy, stream_id)


def predictions(policy: Policy, stream_id: str = "") -> bytes:
    """Topic of a stream's predictions; without a stream, the prefix of all of that lane."""
    return _topic("p", policy, stream_id)


def end_of(topic: bytes) -> bytes:
    """Topic of the end of the stream that has this topic."""
    return topic + _END[1:]


def flush(lane: Policy) -> bytes:
    """Topic of the question whether everything was taken."""
    return b"flush.%b." % lane.encode()


def offer(lane: Policy, stream_id: str = "") -> bytes:
    """Topic of offers of shared memory for a stream; without a stream, the prefix of all of that lane."""
    return _topic("offer", lane, stream_id)


def is_offer(topic: bytes | memoryview, lane: Policy) -> bool:
    """Whether a message of this topic is an offer."""
    prefix = offer(lane)
    return bytes(topic[: len(prefix)]) == prefix


def without(lane: Policy, segment: bytes) -> bytes:
    """Topic of the frames of a segment for readers that can't open it.

    It sorts before ``closed``: after a break libzmq subscribes again by alphabet, and who is heard to have
    found the memory closed must have subscribed to this.
    """
    return b"a.%b.%b." % (lane.encode(), segment.hex().encode())


def is_without(topic: bytes, lane: Policy) -> bool:
    """Whether this is such a topic."""
    return topic.startswith(b"a.%b." % lane.encode()) and len(topic) == len(without(lane, bytes(16)))


def loses_nothing(topic: bytes | memoryview) -> bool:
    """Whether messages of this topic wait for slow receivers instead of being dropped.

    Everything that goes between such frames has to, offers too: libzmq leaves a receiver whose queue was
    full out of the next message as well, also if that one must not be dropped.
    """
    return bytes(topic[2:8]) == b"every." or is_offer(topic, "every")


def is_end(topic: bytes | memoryview) -> bool:
    """Whether a message of this topic is the end of a stream."""
    return bytes(topic[-4:]) == _END


def ended_stream(topic: bytes | memoryview) -> str | None:
    """The stream of which a message of this topic is the end; None if it is none."""
    if not is_end(topic):
        return None
    return bytes(topic).split(b".", 2)[2].removesuffix(_END).decode()


def is_flush(topic: bytes | memoryview) -> bool:
    """Whether a message of this topic is a flush."""
    return bytes(topic[:6]) == b"flush."


def again(name: bytes, stream_id: str = "") -> bytes:
    """Topic of frames that are sent again to a reader, and what it subscribes to, to get them.

    Args:
        name: Of the reader.
        stream_id: Of the stream; empty to ask for all of them.
    """
    return b"%b%b.%b" % (_AGAIN, name, stream_id.encode())


def is_again(topic: bytes | memoryview) -> bool:
    """Whether a message of this topic is a frame that is sent again."""
    return bytes(topic[: len(_AGAIN)]) == _AGAIN


def asks_again(notice: bytes) -> tuple[bytes, str] | None:
    """The reader and the stream (empty: all) of a notice that asks for frames again; None for others."""
    if not notice.startswith(b"\x01" + _AGAIN) or len(notice) > MAX_BYTES:
        return None
    name, dot, stream_id = notice[1 + len(_AGAIN) :].partition(b".")
    return (name, stream_id.decode(errors="replace")) if name and dot else None


def new_reader(role: str = "other") -> bytes:
    """A name for one connection end, unlike all others."""
    return f"{role}-{secrets.token_hex(8)}".encode()


def has_role(name: bytes, role: str) -> bool:
    """Whether a reader of this name has this role."""
    return name.startswith(role.encode() + b"-")


def token(topic: bytes | memoryview, header: bytes | memoryview) -> bytes:
    """Short name of a message that is acknowledged."""
    return b"%08x" % zlib.crc32(header, zlib.crc32(topic))


def role(lane: Policy, name: Role) -> bytes:
    """What a receiver subscribes to on each lane, to announce its role."""
    return b"role.%b.%b" % (lane.encode(), name.encode())


def reader(lane: Policy, name: bytes, stream_id: str = "") -> bytes:
    """What a receiver subscribes to, to be waited for: with a stream, or with all streams of the lane."""
    return b"reader.%b.%b.%b" % (lane.encode(), name, stream_id.encode())


def taken(name: bytes, of: bytes) -> bytes:
    """What a receiver subscribes to, to acknowledge the message with token ``of``."""
    return b"taken.%b.%b" % (name, of)


def age(packed: bytes) -> bytes:
    """What inference subscribes to, to send feedback to capture."""
    return _AGE + packed


def feedback_of(notice: bytes) -> bytes | None:
    """What ``age`` was given, if a notice of a new subscription is one."""
    return notice[1 + len(_AGE) :] if notice.startswith(b"\x01" + _AGE) else None


def view(packed: bytes) -> bytes:
    """What a sink subscribes to, to have inference take a view."""
    return _VIEW + packed


def view_of(notice: bytes) -> bytes | None:
    """What ``view`` was given, if a notice of a new subscription is one."""
    return notice[1 + len(_VIEW) :] if notice.startswith(b"\x01" + _VIEW) else None


def opened(segment: bytes, name: bytes) -> bytes:
    """What a receiver subscribes to as long as it has a segment open."""
    return b"opened.%b.%b" % (segment.hex().encode(), name)


def closed(segment: bytes, name: bytes) -> bytes:
    """What a receiver subscribes to if it can't open a segment."""
    return b"closed.%b.%b" % (segment.hex().encode(), name)


@lru_cache(1024)
def _topic(kind: str, policy: Policy, stream_id: str) -> bytes:
    return f"{kind}.{policy}.{stream_id}.".encode() if stream_id else f"{kind}.{policy}.".encode()
