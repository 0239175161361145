"""Whatever arrives, decoding ends in a message or in a WireError."""

import contextlib
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.account.stats import WorkerStats
from pipeline.base.errors import WireError
from pipeline.base.frame import Frame, FrameId
from pipeline.wire import codec
from pipeline.wire.messages import AttentionHeader, FrameHeader, Offer, Prediction
from pipeline.wire.shared.segment import SegmentError, Window, machine
from tests.wire.peers import end, prediction

LIMIT = 1 << 20
ANY = settings(max_examples=200, deadline=None, database=None)
LAYOUT = AttentionHeader(query_rows=1, query_columns=2, past=1, rows=1, columns=2)
IMAGE = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
OFFER = Offer(
    machine=machine(), pid=1, descriptor=2, inode=3, token=bytes(16), slots=4, frame_bytes=16 * 16 * 3
)
GOOD: list[list[bytes]] = [
    [bytes(part) for part in parts]
    for parts in (
        codec.encode_frame(Frame(FrameId("door", 1, 0, 0), IMAGE, 5), "raw", 90, 0),
        codec.encode_frame(Frame(FrameId("door", 1, 0, 0), IMAGE, 5), "jpeg", 90, 0),
        codec.encode_end(end(1), "predictions"),
        codec.encode_prediction(prediction(0, attention=LAYOUT), np.zeros((2, 2), np.float16)),
        codec.encode_stats(WorkerStats("sink", "sink", 1, "host", 2)),
        codec.encode_notice(Frame(FrameId("door", 1, 0, 0), IMAGE, 5), bytes(16), 3, 0),
        codec.encode_offer(OFFER, "every"),
    )
]


def take(parts: Sequence[bytes]) -> None:
    with contextlib.suppress(WireError):
        message = codec.decode_message(parts, LIMIT)
        if isinstance(message, Offer):
            with pytest.raises(SegmentError):
                Window(message, LIMIT)
        elif isinstance(message, FrameHeader) and message.encoding == "shm":
            assert len(codec.decode_place(parts[2])[0]) == 16
        elif isinstance(message, FrameHeader):
            image = codec.decode_frame(message, parts[2], 0).image
            assert image.shape == (message.height, message.width, 3)
        if isinstance(message, Prediction) and message.attention is not None:
            assert np.isfinite(codec.decode_attention(message.attention, parts[2])).all()


@ANY
@given(st.lists(st.binary(max_size=200), max_size=5))
def test_random_bytes(parts: list[bytes]) -> None:
    take(parts)


@ANY
@given(st.sampled_from(GOOD), st.integers(0, 2), st.integers(0, 2000))
def test_a_message_cut_anywhere(parts: list[bytes], which: int, length: int) -> None:
    take([part[:length] if index == which else part for index, part in enumerate(parts)])


@ANY
@given(st.sampled_from(GOOD), st.data())
def test_a_message_with_changed_bytes(parts: list[bytes], data: st.DataObject) -> None:
    which = data.draw(st.integers(0, len(parts) - 1))
    changed = bytearray(parts[which])
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    take([bytes(changed) if index == which else part for index, part in enumerate(parts)])


@ANY
@given(st.sampled_from(GOOD), st.binary(max_size=64), st.integers(0, 100))
def test_a_header_with_bytes_put_in(parts: list[bytes], extra: bytes, position: int) -> None:
    take([parts[0], parts[1][:position] + extra + parts[1][position:], *parts[2:]])


def test_headers_made_to_exhaust_memory_or_stack() -> None:
    for header in (
        b"\x82\xa1v\x01\xa1z" + b"\x91" * 900_000,
        b"\x83\xa4type\xaaprediction\xa1v\x01\xa3top\xdd\xff\xff\xff\xff",
        b"\x83\xa4type\xa5stats\xa1v\x01\xa7figures\xdf\xff\xff\xff\xff",
        b"\x82\xa1v\x01\xa4type\xdb\xff\xff\xff\xff",
    ):
        take([b"s.", header])
