"""Topics: the first part of each message, which selects its receivers.

::

    f.newest.<stream_id>.   f.every.<stream_id>.    frames, from capture
    p.newest.<stream_id>.   p.every.<stream_id>.    predictions, from inference
    (one of these)end                               the end of that stream
    s.                                              statistics of one worker
    offer.<lane>.<stream_id>.                       offer of shared memory for frames: see ``segment``
    a.<lane>.<segment>.                             frames with pixels, for readers without the segment
    flush.<lane>.                                   request to acknowledge all earlier messages
    again.<reader>.<stream_id>                      the last frames of a live stream, for one reader

``newest`` and ``every`` are two lanes: a receiver uses a separate connection for each, so that back-pressure
on files never delays live streams. The final dot distinguishes stream ``a`` from ``ab``; a subscriber to
``a`` also receives ``a.b`` and discards it.

Receivers send notices to their publishers as subscriptions, which publishers can see:

::

    role.<lane>.inference   role.<lane>.sink       announces a role on a lane
    reader.<lane>.<reader>.                        announces a reader of all streams
    reader.<lane>.<reader>.<stream_id>             announces a reader of one stream
    again.<reader>.                                requests the last frames of all live streams
    again.<reader>.<stream_id>                     requests the last frames of one stream
    taken.<reader>.<token>                         acknowledges an end of stream or a flush
    age.<packed version, Feedback>                 age of predictions, from inference to capture
    view.<packed version, TakeView>                request for a new view, from sink to inference
    opened.<segment>.<reader>                      the reader has opened the shared memory
    closed.<segment>.<reader>                      the reader can't open the shared memory

The name of a reader is its role and a random number.
"""

import secrets
import zlib
from functools import lru_cache

from pipeline.base.frame import Policy
from pipeline.base.role_names import Role

STATS = b"s."
MAX_BYTES = 512
"""Longer than any of these topics: a stream id has at most 240 bytes."""
_AGAIN = b"again."
_END = b".end"
_AGE = b"age."
_VIEW = b"view."


def frames(policy: Policy, stream_id: str = "") -> bytes:
    """Topic of a stream's frames; without a stream, the prefix for all streams of the lane."""
    return _topic("f", policy, stream_id)


def predictions(policy: Policy, stream_id: str = "") -> bytes:
    """Topic of a stream's predictions; without a stream, the prefix for all streams of the lane."""
    return _topic("p", policy, stream_id)


def end_of(topic: bytes) -> bytes:
    """Topic of the end of the stream with this topic."""
    return topic + _END[1:]


def flush(lane: Policy) -> bytes:
    """Topic of requests to acknowledge all earlier messages."""
    return b"flush.%b." % lane.encode()


def offer(lane: Policy, stream_id: str = "") -> bytes:
    """Topic of shared-memory offers; without a stream, the prefix for all streams of the lane."""
    return _topic("offer", lane, stream_id)


def is_offer(topic: bytes | memoryview, lane: Policy) -> bool:
    """Whether a message of this topic is an offer."""
    prefix = offer(lane)
    return bytes(topic[: len(prefix)]) == prefix


def without(lane: Policy, segment: bytes) -> bytes:
    """Topic of the frames of a segment for readers that can't open it.

    It sorts before ``closed``: libzmq resubscribes in alphabetical order after a reconnection, and a reader
    must have subscribed to this topic before its ``closed`` arrives.
    """
    return b"a.%b.%b." % (lane.encode(), segment.hex().encode())


def is_without(topic: bytes, lane: Policy) -> bool:
    """Whether this is a topic as returned by ``without``."""
    return topic.startswith(b"a.%b." % lane.encode()) and len(topic) == len(without(lane, bytes(16)))


def loses_nothing(topic: bytes | memoryview) -> bool:
    """Whether messages of this topic wait for slow receivers instead of being dropped.

    All messages between such frames must wait, including offers: after a drop, libzmq also skips the next
    message for that receiver, even if it must not be dropped.
    """
    return bytes(topic[2:8]) == b"every." or is_offer(topic, "every")


def is_end(topic: bytes | memoryview) -> bool:
    """Whether a message of this topic is the end of a stream."""
    return bytes(topic[-4:]) == _END


def ended_stream(topic: bytes | memoryview) -> str | None:
    """The stream whose end has this topic; None for other topics."""
    if not is_end(topic):
        return None
    return bytes(topic).split(b".", 2)[2].removesuffix(_END).decode()


def is_flush(topic: bytes | memoryview) -> bool:
    """Whether a message of this topic is a flush."""
    return bytes(topic[:6]) == b"flush."


def again(name: bytes, stream_id: str = "") -> bytes:
    """Topic of frames that are sent again to a reader; the reader subscribes to it to request them.

    Args:
        name: Name of the reader.
        stream_id: The stream; empty for all.
    """
    return b"%b%b.%b" % (_AGAIN, name, stream_id.encode())


def is_again(topic: bytes | memoryview) -> bool:
    """Whether a message of this topic contains frames that are sent again."""
    return bytes(topic[: len(_AGAIN)]) == _AGAIN


def asks_again(notice: bytes) -> tuple[bytes, str] | None:
    """The reader and stream (empty: all) of a notice that requests past frames; None for other notices."""
    if not notice.startswith(b"\x01" + _AGAIN) or len(notice) > MAX_BYTES:
        return None
    name, dot, stream_id = notice[1 + len(_AGAIN) :].partition(b".")
    return (name, stream_id.decode(errors="replace")) if name and dot else None


def new_reader(role: str = "other") -> bytes:
    """A unique name for a reader."""
    return f"{role}-{secrets.token_hex(8)}".encode()


def has_role(name: bytes, role: str) -> bool:
    """Whether a reader's name has this role."""
    return name.startswith(role.encode() + b"-")


def token(topic: bytes | memoryview, header: bytes | memoryview) -> bytes:
    """Short identifier of a message, for acknowledgements."""
    return b"%08x" % zlib.crc32(header, zlib.crc32(topic))


def role(lane: Policy, name: Role) -> bytes:
    """Notice that announces a receiver's role on a lane."""
    return b"role.%b.%b" % (lane.encode(), name.encode())


def reader(lane: Policy, name: bytes, stream_id: str = "") -> bytes:
    """Notice that announces a reader of a stream, or all of the lane, so that publishers wait for it."""
    return b"reader.%b.%b.%b" % (lane.encode(), name, stream_id.encode())


def taken(name: bytes, of: bytes) -> bytes:
    """Notice that acknowledges the message with token ``of``."""
    return b"taken.%b.%b" % (name, of)


def age(packed: bytes) -> bytes:
    """Notice with feedback from inference to capture."""
    return _AGE + packed


def feedback_of(notice: bytes) -> bytes | None:
    """The payload of an ``age`` notice; None for other notices."""
    return notice[1 + len(_AGE) :] if notice.startswith(b"\x01" + _AGE) else None


def view(packed: bytes) -> bytes:
    """Notice with a sink's request for a new view."""
    return _VIEW + packed


def view_of(notice: bytes) -> bytes | None:
    """The payload of a ``view`` notice; None for other notices."""
    return notice[1 + len(_VIEW) :] if notice.startswith(b"\x01" + _VIEW) else None


def opened(segment: bytes, name: bytes) -> bytes:
    """Notice that a reader has a segment open; the subscription lasts as long as it is open."""
    return b"opened.%b.%b" % (segment.hex().encode(), name)


def closed(segment: bytes, name: bytes) -> bytes:
    """Notice that a reader can't open a segment."""
    return b"closed.%b.%b" % (segment.hex().encode(), name)


@lru_cache(1024)
def _topic(kind: str, policy: Policy, stream_id: str) -> bytes:
    return f"{kind}.{policy}.{stream_id}.".encode() if stream_id else f"{kind}.{policy}.".encode()
