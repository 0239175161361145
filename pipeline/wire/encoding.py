"""Encodes multipart messages: topic, header and buffers, which are not copied."""

from typing import Literal

import cv2
import msgspec
import numpy as np
from msgspec.structs import replace

from pipeline.account.footprint import MOST_BYTES, footprint, without_distributions
from pipeline.account.stats import MOST_EVENTS, MOST_LINKS, WorkerStats
from pipeline.base.errors import WireError
from pipeline.base.frame import Frame, Image, Policy
from pipeline.flow.freshness.ages import Feedback
from pipeline.wire import topics
from pipeline.wire.messages import (
    MAX_SIDE_PX,
    MAX_STATS_BYTES,
    PLACE,
    WIRE_VERSION,
    Attention,
    BadPicture,
    Encoding,
    EndOfStream,
    FrameHeader,
    Identity,
    Offer,
    Part,
    Prediction,
    Stats,
    TakeView,
)

_pack = msgspec.msgpack.Encoder().encode


def encode_frame(
    frame: Frame, encoding: Literal["raw", "jpeg"], jpeg_quality: int, sent_ns: int, topic: bytes = b""
) -> list[Part]:
    """Packs a frame. Raw pixels are not copied and must not be changed afterwards.

    Args:
        frame: The frame; ``image`` is ``(height, width, 3)`` uint8 BGR.
        encoding: ``raw`` or ``jpeg``.
        jpeg_quality: 1 to 100, for ``jpeg``.
        sent_ns: Unix time in ns at which it is sent.
        topic: Topic; by default that of the stream's frames.

    Raises:
        WireError: The image has another shape or type, or is too large.
    """
    check_image(frame.image)
    pixels: Part
    if encoding == "jpeg":
        _, packed = cv2.imencode(".jpg", frame.image, [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
        pixels = packed.data.cast("B")
    else:
        pixels = np.ascontiguousarray(frame.image).data.cast("B")
    return _with_header(frame, encoding, pixels, sent_ns, topic)


def encode_notice(frame: Frame, token: bytes, ticket: int, sent_ns: int) -> list[Part]:
    """Packs a frame whose pixels are in shared memory.

    Args:
        frame: The frame.
        token: Token of the segment.
        ticket: Ticket of the frame in the segment.
        sent_ns: Unix time in ns at which it is sent.
    """
    return _with_header(frame, "shm", PLACE.pack(token, ticket), sent_ns)


def encode_offer(offer: Offer, lane: Policy) -> list[Part]:
    """Packs an offer of shared memory."""
    return [topics.offer(lane, offer.stream_id), _pack(offer)]


def check_image(image: Image) -> None:
    """Checks shape, type and size of an image.

    Raises:
        WireError: The image has another shape or type, or is too large.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise WireError(
            "pixels", f"a frame must be (height, width, 3) uint8, not {image.shape} {image.dtype}"
        )
    height, width = image.shape[:2]
    if not (1 <= height <= MAX_SIDE_PX and 1 <= width <= MAX_SIDE_PX):
        raise WireError("pixels", f"a frame of {width}x{height}: sides must be 1 to {MAX_SIDE_PX} pixels")


def _with_header(
    frame: Frame, encoding: Encoding, pixels: Part, sent_ns: int, topic: bytes = b""
) -> list[Part]:
    height, width = frame.image.shape[:2]
    header = FrameHeader(
        **Identity.of(frame.id),
        capture_ns=frame.capture_ns,
        pts_ns=frame.pts_ns,
        sent_ns=sent_ns,
        height=height,
        width=width,
        encoding=encoding,
        policy=frame.policy,
        skipped=frame.skipped,
        truth=frame.truth,
        movers=frame.movers,
        full_size=frame.full_size,
        smeared=frame.smeared,
    )
    return [topic or topics.frames(frame.policy, frame.id.stream_id), _pack(header), pixels]


def encode_end(end: EndOfStream, after: Literal["frames", "predictions"]) -> list[Part]:
    """Packs the end of a stream, on the topic of its frames (capture) or its predictions (inference)."""
    topic = topics.frames if after == "frames" else topics.predictions
    return [topics.end_of(topic(end.policy, end.stream_id)), _pack(end)]


def encode_prediction(
    prediction: Prediction, attention: Attention | None = None, packed_maps: bytes = b""
) -> list[Part]:
    """Packs a prediction and its attention weights, which are not copied.

    Weights without a layout in ``prediction.attention`` are omitted: no reader could use them.

    Args:
        prediction: The header.
        attention: The weights.
        packed_maps: Flow and mask from ``pack_maps``, if ``prediction.motion_maps`` is set.

    Raises:
        WireError: ``attention`` is not float16, or does not match ``prediction.attention``.
    """
    parts: list[Part] = [topics.predictions(prediction.policy, prediction.stream_id), _pack(prediction)]
    layout = prediction.attention
    if layout is not None:
        if attention is None:
            raise WireError("attention", "an attention layout without weights")
        if attention.shape != layout.shape or attention.dtype != np.float16:
            raise WireError(
                "attention",
                f"attention must be {layout.shape} float16, not {attention.shape} {attention.dtype}",
            )
        parts.append(np.ascontiguousarray(attention).data.cast("B"))
    if prediction.motion_maps is not None:
        parts.append(packed_maps)
    return parts


def encode_bad_picture(bad: BadPicture) -> list[Part]:
    """Packs the message that replaces a prediction, on the topic of the predictions."""
    return [topics.predictions(bad.policy, bad.stream_id), _pack(bad)]


def encode_stats(stats: WorkerStats) -> list[Part]:
    """Packs a worker's statistics; omits distributions and events if receivers would reject the size.

    Raises:
        WireError: They are still too large.
    """
    stats = replace(stats, lost_links=stats.lost_links[:MOST_LINKS], events=stats.events[-MOST_EVENTS:])
    header = _pack(Stats(stats=stats))
    if len(header) > MAX_STATS_BYTES or footprint(stats) > MOST_BYTES:
        header = _pack(Stats(stats=without_distributions(stats)))
    if len(header) > MAX_STATS_BYTES:
        raise WireError("size", f"statistics of {len(header)} bytes, at most {MAX_STATS_BYTES} allowed")
    return [topics.STATS, header]


def encode_take_view(wanted: TakeView) -> bytes:
    """Packs a sink's request to inference for a new view, as the topic of a subscription."""
    return topics.view(_pack((WIRE_VERSION, wanted)))


def encode_feedback(feedback: Feedback) -> bytes:
    """Packs feedback from inference to capture, as the topic of a subscription."""
    return topics.age(_pack((WIRE_VERSION, feedback)))
