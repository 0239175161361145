import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.errors import WireError
from pipeline.wire import decoding, encoding
from pipeline.wire.messages import MotionMapsHeader
from pipeline.wire.motion_maps import MOST_BYTES, pack_maps, unpack_maps
from tests.wire.peers import prediction

LIMIT = 1 << 20
LAYOUT = MotionMapsHeader(past=2, rows=6, columns=8)


def maps(past: int, rows: int, columns: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    flow = rng.normal(0, 20, (past, 2, rows, columns)).astype(np.float32)
    return flow, rng.random((rows, columns), np.float32)


def refused(layout: MotionMapsHeader, packed: bytes) -> WireError:
    with pytest.raises(WireError) as caught:
        unpack_maps(layout, packed)
    return caught.value


@given(past=st.integers(1, 8), rows=st.integers(1, 60), columns=st.integers(1, 60))
def test_flow_and_mask_come_back_as_they_were(past: int, rows: int, columns: int) -> None:
    flow, moving = maps(past, rows, columns)
    layout, packed = pack_maps(flow, moving)
    assert (layout.past, layout.rows, layout.columns) == (past, rows, columns)
    got = unpack_maps(layout, packed)
    np.testing.assert_array_equal(got.flow, flow.astype(np.float16))
    np.testing.assert_allclose(got.moving / 255, moving, atol=0.5 / 255 + 1e-6)
    assert got.nbytes == layout.unpacked_bytes
    assert not got.flow.flags.writeable
    assert not got.moving.flags.writeable


def test_a_picture_in_which_nothing_moves_takes_next_to_nothing() -> None:
    _, packed = pack_maps(np.zeros((2, 2, 48, 48), np.float32), np.zeros((48, 48), np.float32))
    assert len(packed) < 500


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"no zlib",
        zlib.compress(bytes(LAYOUT.unpacked_bytes - 1)),
        zlib.compress(bytes(LAYOUT.unpacked_bytes + 1)),
        zlib.compress(bytes(LAYOUT.unpacked_bytes))[:-3],
        zlib.compress(bytes(LAYOUT.unpacked_bytes)) + b"more",
        zlib.compress(bytes(48) + bytes([255]) * (LAYOUT.unpacked_bytes - 48)),  # not a number
    ],
)
def test_what_does_not_hold_what_was_announced_is_refused(packed: bytes) -> None:
    assert refused(LAYOUT, packed).reason == "motion_maps"


def test_a_bomb_is_unpacked_no_further_than_announced() -> None:
    bomb = zlib.compress(bytes(200 * 2**20), 9)
    assert len(bomb) < LIMIT
    tracemalloc.start()
    try:
        assert refused(LAYOUT, bomb).reason == "motion_maps"
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


def test_maps_that_would_be_too_large_are_refused_before_they_are_unpacked() -> None:
    large = MotionMapsHeader(past=64, rows=4096, columns=4096)
    assert large.unpacked_bytes > MOST_BYTES
    parts = encoding.encode_prediction(prediction(1, motion_maps=large), packed_maps=b"small")
    for limit in (LIMIT, 2**40):
        with pytest.raises(WireError) as caught:
            decoding.decode_message(parts, limit)
        assert caught.value.reason == "size"
    assert refused(large, b"small").reason == "size"
    layout, packed = pack_maps(*maps(2, 24, 24))
    parts = encoding.encode_prediction(prediction(1, motion_maps=layout), packed_maps=packed)
    with pytest.raises(WireError, match=r"wire\.max_frame_mb allows 100"):
        decoding.decode_message(parts, 100)
    with pytest.raises(WireError, match="at most 16777216"):
        pack_maps(np.zeros((64, 2, 300, 300), np.float32), np.zeros((300, 300), np.float32))


@pytest.mark.parametrize("parts", [2, 4])
def test_a_prediction_with_maps_has_three_parts(parts: int) -> None:
    layout, packed = pack_maps(*maps(2, 6, 8))
    message = [*encoding.encode_prediction(prediction(1, motion_maps=layout), packed_maps=packed), b""]
    with pytest.raises(WireError) as caught:
        decoding.decode_message(message[:parts], LIMIT)
    assert caught.value.reason == "parts"
    assert decoding.decode_message(message[:3], LIMIT) == prediction(1, motion_maps=layout)
