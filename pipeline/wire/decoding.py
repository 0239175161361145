"""Decodes multipart messages and validates everything that peers send.

A message is ``[topic, header]`` followed by up to two buffers. Raw pixels are not copied.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import cv2
import msgspec
import numpy as np
import simplejpeg

from pipeline.base.errors import WireError
from pipeline.base.frame import Frame, Image
from pipeline.base.text import printable
from pipeline.flow.freshness.ages import Feedback
from pipeline.wire import topics
from pipeline.wire.jpeg import jpeg_size
from pipeline.wire.messages import (
    MAX_HEADER_BYTES,
    PLACE,
    WIRE_VERSION,
    Attention,
    AttentionHeader,
    BadPicture,
    EndOfStream,
    FrameHeader,
    Message,
    Offer,
    Part,
    Prediction,
    Stats,
    TakeView,
)
from pipeline.wire.motion_maps import check_maps
from pipeline.wire.peer_text import with_printable_text

_MOST_TICKET = 2**48
_Notice = TypeVar("_Notice", Feedback, TakeView)


class _Versioned(msgspec.Struct):
    v: int


_unpack_version = msgspec.msgpack.Decoder(_Versioned).decode
_unpack_feedback = msgspec.msgpack.Decoder(tuple[int, Feedback]).decode
_unpack_take_view = msgspec.msgpack.Decoder(tuple[int, TakeView]).decode
_unpack: Callable[[Part], Message] = msgspec.msgpack.Decoder(Message).decode


def decode_feedback(notice: bytes) -> Feedback | None:
    """Unpacks feedback from a notice; None for other or invalid notices."""
    return _unpacked(topics.feedback_of(notice), _unpack_feedback)


def decode_take_view(notice: bytes) -> TakeView | None:
    """Unpacks a sink's request for a new view from a notice; None for other or invalid notices."""
    return _unpacked(topics.view_of(notice), _unpack_take_view)


def _unpacked(packed: bytes | None, unpack: Callable[[bytes], tuple[int, _Notice]]) -> _Notice | None:
    if packed is None:
        return None
    try:
        version, notice = unpack(packed)
    except (ValueError, RecursionError, MemoryError):
        return None
    return notice if version == WIRE_VERSION else None


def decode_message(parts: Sequence[Part], max_bytes: int) -> Message:
    """Validates a whole message, including its buffers, and unpacks its header; does not decode pixels.

    Args:
        parts: Topic, header and any buffers.
        max_bytes: Limit of each buffer and of the decoded image.

    Raises:
        WireError: The message is invalid.
    """
    if not 2 <= len(parts) <= 4:
        raise WireError("parts", f"a message of {len(parts)} parts, expected 2 to 4")
    topic, packed = parts[0], parts[1]
    if len(packed) > MAX_HEADER_BYTES:
        raise WireError("size", f"a header of {len(packed)} bytes, at most {MAX_HEADER_BYTES} allowed")
    message = _decode_header(packed)
    if not _fits(bytes(topic[: topics.MAX_BYTES]), message):
        raise WireError("topic", f"the topic {bytes(topic[:80])!r} does not match its message")
    wanted = 2 + isinstance(message, FrameHeader)
    if isinstance(message, Prediction):
        wanted += (message.attention is not None) + (message.motion_maps is not None)
    if len(parts) != wanted:
        raise WireError("parts", f"a message of {len(parts)} parts, expected {wanted}")
    if isinstance(message, FrameHeader):
        _check_pixels(message, memoryview(parts[2]), max_bytes)
    elif isinstance(message, Prediction):
        if message.attention is not None:
            _check_attention(message.attention, memoryview(parts[2]), max_bytes)
        if message.motion_maps is not None:
            check_maps(message.motion_maps, parts[-1], max_bytes)
    return message


def decode_place(place: Part) -> tuple[bytes, int]:
    """Token of the segment and ticket of a ``shm`` frame that ``decode_message`` has validated."""
    token, ticket = PLACE.unpack(place)
    return bytes(token), int(ticket)


def decode_frame(header: FrameHeader, pixels: Part, received_ns: int, *, full_size: bool = False) -> Frame:
    """Decodes a frame whose header came from ``decode_message``; raw pixels are read-only and not copied.

    With ``full_size``, a frame that capture has downscaled is scaled back. For ``shm`` frames, ``pixels`` is
    the copy from shared memory.

    Raises:
        WireError: The JPEG image is damaged.
    """
    image: Image
    if header.encoding in ("raw", "shm"):
        image = np.frombuffer(pixels, np.uint8).reshape(header.height, header.width, 3)
    else:
        image = _decode_jpeg(pixels, header.height, header.width)
    if full_size and header.full_size:
        height, width = header.full_size
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    image.flags.writeable = False
    return Frame(
        id=header.id,
        image=image,
        capture_ns=header.capture_ns,
        pts_ns=header.pts_ns,
        policy=header.policy,
        skipped=header.skipped,
        truth=header.truth,
        movers=header.movers,
        smeared=header.smeared,
        received_ns=received_ns,
        full_size=header.full_size,
    )


def decode_attention(layout: AttentionHeader, weights: Part) -> Attention:
    """Unpacks attention weights without copying them.

    Raises:
        WireError: Their number differs from ``layout``, or one is not finite.
    """
    _check_attention(layout, memoryview(weights), max_bytes=len(weights))
    attention: Attention = np.frombuffer(weights, np.float16).reshape(layout.shape)
    if not np.isfinite(attention).all():
        raise WireError("attention", "attention weights that are not finite")
    attention.flags.writeable = False
    return attention


def _decode_header(packed: Part) -> Message:
    try:
        version = _unpack_version(packed).v
    except (ValueError, RecursionError, MemoryError):
        raise WireError("header", "a header without a wire version: is this a KVQ Stream worker?") from None
    if version != WIRE_VERSION:
        raise WireError(
            "version",
            f"the peer uses wire version {version}, this program {WIRE_VERSION}: update the older one",
        )
    try:
        message = _unpack(packed)
    except (ValueError, RecursionError, MemoryError) as error:
        raise WireError("header", f"an invalid header: {_cause(error)}") from None
    return with_printable_text(message)


def _cause(error: Exception) -> str:
    text, regex, place = str(error), " matching regex ", " - at "
    if regex in text and place in text:  # the pattern is unreadable
        text = f"text that is not allowed there{text[text.rindex(place) :]}"
    return printable(text[:200])


def _fits(topic: bytes, message: Message) -> bool:
    if topic in _topics_of(message):
        return True
    if not isinstance(message, FrameHeader):
        return False
    if topics.is_again(topic):
        return message.policy == "newest" and topic.endswith(b"." + message.stream_id.encode())
    return topics.is_without(topic, message.policy)


def _topics_of(message: Message) -> tuple[bytes, ...]:
    match message:
        case FrameHeader():
            return (topics.frames(message.policy, message.stream_id),)
        case Prediction() | BadPicture():
            return (topics.predictions(message.policy, message.stream_id),)
        case EndOfStream():
            return (
                topics.end_of(topics.frames(message.policy, message.stream_id)),
                topics.end_of(topics.predictions(message.policy, message.stream_id)),
            )
        case Stats():
            return (topics.STATS,)
        case Offer():
            return (topics.offer("newest", message.stream_id), topics.offer("every", message.stream_id))


def _check_pixels(header: FrameHeader, pixels: memoryview, max_bytes: int) -> None:
    raw_bytes = header.height * header.width * 3
    full_height, full_width = header.source_size
    if full_height < header.height or full_width < header.width:
        raise WireError("pixels", f"a frame larger than the {full_width}x{full_height} of its source")
    if (largest := max(full_height * full_width * 3, len(pixels))) > max_bytes:
        raise WireError("size", f"a frame of {largest} bytes; wire.max_frame_mb allows {max_bytes}")
    if header.encoding == "raw":
        if len(pixels) != raw_bytes:
            raise WireError("pixels", f"{len(pixels)} bytes of pixels, {raw_bytes} expected")
        return
    if header.encoding == "shm":
        if len(pixels) != PLACE.size:
            size = PLACE.size
            raise WireError("pixels", f"a shared-memory location of {len(pixels)} bytes, {size} expected")
        if (ticket := decode_place(pixels)[1]) > _MOST_TICKET:
            raise WireError("shm", f"a shared-memory location with invalid ticket {ticket}")
        return
    height, width = jpeg_size(pixels)
    if (height, width) != (header.height, header.width):
        raise WireError(
            "jpeg",
            f"a JPEG image of {width}x{height} where {header.width}x{header.height} was announced",
        )


def _check_attention(layout: AttentionHeader, weights: memoryview, max_bytes: int) -> None:
    queries, keys = layout.shape
    expected = queries * keys * 2
    if len(weights) > max_bytes:
        raise WireError("size", f"attention of {len(weights)} bytes; wire.max_frame_mb allows {max_bytes}")
    if len(weights) != expected:
        raise WireError("attention", f"{len(weights)} bytes of attention, {expected} expected")


def _decode_jpeg(pixels: Part, height: int, width: int) -> Image:
    try:  # strict: OpenCV would fill missing data with grey
        image = simplejpeg.decode_jpeg(pixels, colorspace="BGR", strict=True)
    except ValueError:
        raise WireError("jpeg", "a damaged JPEG image") from None
    if image.shape != (height, width, 3):
        raise WireError("jpeg", "a damaged JPEG image")
    return np.asarray(image, np.uint8)
