"""Whatever arrives, decoding ends in a message or in a WireError."""

import contextlib
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.account.stats import WorkerStats
from pipeline.base.errors import WireError
from pipeline.base.frame import Frame, FrameId
from pipeline.wire import decoding, encoding
from pipeline.wire.messages import WIRE_VERSION, AttentionHeader, FrameHeader, Offer, Prediction
from pipeline.wire.motion_maps import pack_maps, unpack_maps
from pipeline.wire.shared.segment import SegmentError, Window, machine
from tests.wire.peers import end, prediction

LIMIT = 1 << 20
ANY = settings(max_examples=200)
LAYOUT = AttentionHeader(query_rows=1, query_columns=2, past=1, rows=1, columns=2)
MAPS, PACKED = pack_maps(np.ones((2, 2, 6, 8), np.float32), np.full((6, 8), 0.5, np.float32))
IMAGE = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
OFFER = Offer(
    stream_id="door",
    machine=machine(),
    pid=1,
    descriptor=2,
    inode=3,
    token=bytes(16),
    slots=4,
    frame_bytes=16 * 16 * 3,
)
GOOD: list[list[bytes]] = [
    [bytes(part) for part in parts]
    for parts in (
        encoding.encode_frame(Frame(FrameId("door", 1, 0, 0), IMAGE, 5), "raw", 90, 0),
        encoding.encode_frame(Frame(FrameId("door", 1, 0, 0), IMAGE, 5), "jpeg", 90, 0),
        encoding.encode_end(end(1), "predictions"),
        encoding.encode_prediction(prediction(0, attention=LAYOUT), np.zeros((2, 2), np.float16)),
        encoding.encode_prediction(
            prediction(0, attention=LAYOUT, motion_maps=MAPS), np.zeros((2, 2), np.float16), PACKED
        ),
        encoding.encode_stats(WorkerStats("sink", "sink", 1, "host", 2)),
        encoding.encode_notice(Frame(FrameId("door", 1, 0, 0), IMAGE, 5), bytes(16), 3, 0),
        encoding.encode_offer(OFFER, "every"),
    )
]


def take(parts: Sequence[bytes]) -> None:
    with contextlib.suppress(WireError):
        message = decoding.decode_message(parts, LIMIT)
        if isinstance(message, Offer):
            with pytest.raises(SegmentError):
                Window(message, LIMIT)
        elif isinstance(message, FrameHeader) and message.encoding == "shm":
            assert len(decoding.decode_place(parts[2])[0]) == 16
        elif isinstance(message, FrameHeader):
            image = decoding.decode_frame(message, parts[2], 0).image
            assert image.shape == (message.height, message.width, 3)
        if isinstance(message, Prediction) and message.attention is not None:
            assert np.isfinite(decoding.decode_attention(message.attention, parts[2])).all()
        if isinstance(message, Prediction) and message.motion_maps is not None:
            maps = unpack_maps(message.motion_maps, parts[-1])
            assert np.isfinite(maps.flow).all()
            assert maps.nbytes == message.motion_maps.unpacked_bytes


@ANY
@given(st.lists(st.binary(max_size=200), max_size=5))
def test_random_bytes(parts: list[bytes]) -> None:
    take(parts)


@ANY
@given(st.sampled_from(GOOD), st.integers(0, 3), st.integers(0, 2000))
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


def refused(header: bytes) -> str:
    with pytest.raises(WireError) as caught:
        decoding.decode_message([b"s.", header], LIMIT)
    assert caught.value.reason == "header"
    return str(caught.value)


@pytest.mark.parametrize(
    "header",
    [
        b"\x82\xa1v\x06\xa1z" + b"\x91" * 900_000,
        b"\x83\xa4type\xaaprediction\xa1v\x06\xa3top\xdd\xff\xff\xff\xff",
        b"\x83\xa4type\xa5stats\xa1v\x06\xa5stats\xdf\xff\xff\xff\xff",
        b"\x82\xa1v\x06\xa4type\xdb\xff\xff\xff\xff",
    ],
)
def test_headers_made_to_exhaust_memory_or_stack_end_before_their_version_is_known(header: bytes) -> None:
    assert header[header.index(b"\xa1v") + 2] == WIRE_VERSION, "they are not refused for that"
    assert "without a wire version" in refused(header)


@pytest.mark.parametrize(
    ("index", "changes", "place"),
    [
        (3, {"top": [["still", 0.5]] * 50_000}, "$.top"),
        (3, {"past": [[0, 1, 2.0]] * 50_000}, "$.past"),
        (5, {"stats": {"worker": "x" * 900_000}}, "$.stats.worker"),
        (0, {"full_size": [[[[[[[[1]]]]]]]]}, "$.full_size"),
        (5, {"stats": {"worker": "sink", "streams": {"a/b": {}}}}, "$.stats.streams"),
        (5, {"stats": {"worker": "sink", "streams": {"𠮷" * 64: {}}}}, "$.stats.streams"),
    ],
)
def test_headers_that_are_whole_get_as_far_as_the_typed_decoder_which_names_the_place(
    index: int, changes: dict[str, object], place: str
) -> None:
    header = msgspec.msgpack.decode(GOOD[index][1])
    assert place in refused(msgspec.msgpack.encode(header | changes))
