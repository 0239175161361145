"""Messages survive the trip unchanged, and everything that is wrong with one is named."""

import cv2
import msgspec
import numpy as np
import pytest

from pipeline.account.stats import Histogram, WorkerStats
from pipeline.base.errors import WireError
from pipeline.base.frame import Frame, FrameId
from pipeline.base.moving_thing import MOST_THINGS, Mover
from pipeline.wire import decoding, encoding, messages
from pipeline.wire.messages import AttentionHeader, Encoding, FrameHeader, Stats
from tests.wire.peers import bad_picture, end, packed, prediction

LIMIT = 1 << 20
LAYOUT = AttentionHeader(query_rows=2, query_columns=3, past=2, rows=2, columns=3)
WEIGHTS = np.linspace(0, 1, 72, dtype=np.float16).reshape(6, 12)


def picture(height: int = 48, width: int = 64) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)


def jpeg_parts() -> list[messages.Part]:
    soft = np.asarray(cv2.GaussianBlur(picture(), (9, 9), 3), np.uint8)
    shown = Frame(FrameId("door", 1, 2, 3), soft, 5, pts_ns=-4, policy="every", skipped=6, truth="still")
    return encoding.encode_frame(shown, "jpeg", 95, sent_ns=8)


def with_header(parts: list[messages.Part], **changes: object) -> list[messages.Part]:
    header = msgspec.msgpack.decode(parts[1]) | changes
    return [parts[0], msgspec.msgpack.encode(header), *parts[2:]]


def refused(parts: list[messages.Part], limit: int = LIMIT) -> WireError:
    with pytest.raises(WireError) as caught:
        decoding.decode_message(parts, limit)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_raw_frame_arrives_as_it_was_without_a_copy() -> None:
    sent = Frame(FrameId("door", 1, 2, 3), picture(), 5, pts_ns=-4, policy="every", skipped=6, truth="still")
    parts = encoding.encode_frame(sent, "raw", 90, sent_ns=8)
    assert np.shares_memory(np.frombuffer(parts[2], np.uint8), sent.image)
    header = decoding.decode_message(parts, LIMIT)
    assert isinstance(header, FrameHeader)
    assert header.sent_ns == 8
    got = decoding.decode_frame(header, parts[2], received_ns=9)
    assert np.shares_memory(got.image, sent.image)
    assert not got.image.flags.writeable
    np.testing.assert_array_equal(got.image, sent.image)
    assert (got.id, got.capture_ns, got.pts_ns, got.policy) == (sent.id, 5, -4, "every")
    assert (got.skipped, got.truth, got.movers, got.received_ns) == (6, "still", None, 9)


def test_what_is_known_to_move_travels_with_a_frame_in_its_range() -> None:
    mover = Mover(box=(0.1, 0.2, 0.3, 0.4), speed=0.25, direction_deg=90.0, is_sure=False)
    parts = encoding.encode_frame(Frame(FrameId("door", 1, 2, 3), picture(), 5, movers=[mover]), "raw", 90, 8)
    header = decoding.decode_message(parts, LIMIT)
    assert isinstance(header, FrameHeader)
    assert decoding.decode_frame(header, parts[2], received_ns=9).movers == [mover]
    fields = msgspec.to_builtins(mover)
    for wrong in (
        [fields] * (MOST_THINGS + 1),
        [fields | {"box": [0.1, 0.2, 1.1, 0.4]}],
        [fields | {"direction_deg": 360.0}],
        [fields | {"speed": float("nan")}],
    ):
        assert refused(with_header(parts, movers=wrong)).reason == "header"


def test_a_picture_cut_out_of_another_is_packed_too() -> None:
    cut = picture()[4:20, 8:40]
    parts = encoding.encode_frame(Frame(FrameId("door", 1, 0, 0), cut, 5), "raw", 90, 0)
    header = decoding.decode_message(parts, LIMIT)
    assert isinstance(header, FrameHeader)
    np.testing.assert_array_equal(decoding.decode_frame(header, parts[2], 0).image, cut)


def test_a_jpeg_frame_arrives_nearly_as_it_was() -> None:
    parts = jpeg_parts()
    header = decoding.decode_message(parts, LIMIT)
    assert isinstance(header, FrameHeader)
    image = decoding.decode_frame(header, parts[2], 9).image
    difference = np.abs(image.astype(int) - cv2.GaussianBlur(picture(), (9, 9), 3).astype(int))
    assert difference.mean() < 4
    assert not image.flags.writeable


@pytest.mark.parametrize("stream_id", ["жест 手", "a.end", "every.b", "𝔘" * 48])
def test_a_stream_may_have_a_name_in_any_script(stream_id: str) -> None:
    frame = decoding.decode_message(packed(0, "every", stream_id), LIMIT)
    assert isinstance(frame, FrameHeader)
    assert frame.stream_id == stream_id
    last = end(7, stream_id=stream_id)
    for after in ("frames", "predictions"):
        assert decoding.decode_message(encoding.encode_end(last, after), LIMIT) == last
    assert decoding.decode_message(encoding.encode_prediction(prediction(0, stream_id=stream_id)), LIMIT)


@pytest.mark.parametrize("after", ["frames", "predictions"])
def test_an_end_travels_after_what_it_ends(after: str) -> None:
    parts = encoding.encode_end(end(7), "frames" if after == "frames" else "predictions")
    assert bytes(parts[0]).startswith(b"f.every.door." if after == "frames" else b"p.every.door.")
    assert decoding.decode_message(parts, LIMIT) == end(7)


def test_a_prediction_arrives_with_its_attention() -> None:
    sent = prediction(3, attention=LAYOUT)
    parts = encoding.encode_prediction(sent, WEIGHTS)
    got = decoding.decode_message(parts, LIMIT)
    assert got == sent
    attention = decoding.decode_attention(LAYOUT, parts[2])
    np.testing.assert_array_equal(attention, WEIGHTS)
    assert not attention.flags.writeable
    assert decoding.decode_message(encoding.encode_prediction(prediction(4)), LIMIT) == prediction(4)


def test_stats_arrive() -> None:
    stats = WorkerStats("capture", "capture", 1, "host", 2)
    stats.stream("door").record("decode", 3_000_000)
    message = decoding.decode_message(encoding.encode_stats(stats), LIMIT)
    assert message == Stats(stats=stats)


def test_stats_of_a_large_and_broken_pipeline_arrive() -> None:
    stats = WorkerStats("capture", "capture", 1, "host", 2)
    stats.lost_links = [f"inference at tcp://far-{number}:1" for number in range(65)]
    stats.events = [f"event {number}" for number in range(1000)]
    message = decoding.decode_message(encoding.encode_stats(stats), LIMIT)
    assert isinstance(message, Stats)
    assert message.stats.lost_links == stats.lost_links[:64]
    assert message.stats.events[-1] == "event 999"


def test_of_stats_that_are_too_large_the_counts_arrive() -> None:
    stats = WorkerStats("inference", "inference", 1, "host", 2)
    for number in range(200):
        stream = stats.stream(f"door-{number}")
        stream.predicted = number
        for stage in range(5):
            stream.latency[str(stage)] = Histogram(dict.fromkeys(range(1000), 2**20), 1.0)
    message = decoding.decode_message(encoding.encode_stats(stats), 2 * LIMIT)
    assert isinstance(message, Stats)
    assert [stream.predicted for stream in message.stats.streams.values()] == list(range(200))
    assert all(stats.streams["door-7"].latency.values()), "the worker still has them"


def test_attention_without_a_layout_is_left_out() -> None:
    parts = encoding.encode_prediction(prediction(3), WEIGHTS)
    assert len(parts) == 2
    assert decoding.decode_message(parts, LIMIT) == prediction(3)


@pytest.mark.parametrize("weights", [WEIGHTS[:5], WEIGHTS.astype(np.float32), None])
def test_attention_that_does_not_fit_is_not_sent(weights: np.ndarray | None) -> None:
    with pytest.raises(WireError, match="attention"):
        encoding.encode_prediction(prediction(3, attention=LAYOUT), weights)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_picture_is_not_sent(image: np.ndarray) -> None:
    with pytest.raises(WireError, match="a frame"):
        encoding.encode_frame(Frame(FrameId("door", 1, 0, 0), image, 5), "raw", 90, 0)


@pytest.mark.parametrize("version", [0, messages.WIRE_VERSION - 1, messages.WIRE_VERSION + 1])
def test_another_version_is_refused_by_both_names(version: int) -> None:
    error = refused(with_header(packed(0), v=version, something_new=1, height="tall"))
    assert error.reason == "version"
    assert (
        str(error)
        == f"the peer uses wire version {version}, this program {messages.WIRE_VERSION}: update the older one"
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"type": "pickle"}, "pickle"),
        ({"stream_id": "../door"}, "stream_id"),
        ({"stream_id": ""}, "stream_id"),
        ({"stream_id": "𠮷" * 64}, "text that is not allowed there - at `$.stream_id`"),
        ({"stream_id": "x" * 65}, "text that is not allowed there - at `$.stream_id`"),
        ({"stream_id": "door\n"}, "stream_id"),
        ({"seq": -1}, "seq"),
        ({"height": 0}, "height"),
        ({"height": 16385}, "height"),
        ({"encoding": "png"}, "png"),
        ({"capture_ns": 1.5}, "capture_ns"),
    ],
)
def test_a_wrong_header_is_named(changes: dict[str, object], text: str) -> None:
    error = refused(with_header(packed(0), **changes))
    assert error.reason == "header"
    assert text in str(error)


def test_a_prediction_with_a_score_that_is_no_number_is_refused() -> None:
    assert (
        refused(with_header(encoding.encode_prediction(prediction(0)), top=[("still", float("nan"))])).reason
        == "header"
    )


def test_wrong_sizes_are_refused() -> None:
    good = packed(0)
    assert refused(good[:1]).reason == "parts"
    assert refused(good[:2]).reason == "parts"
    assert refused([*good, b"more"]).reason == "parts"
    assert refused([*encoding.encode_end(end(1), "frames"), b"pixels"]).reason == "parts"
    assert refused([good[0], bytes(good[1]) + bytes(messages.MAX_HEADER_BYTES), good[2]]).reason == "size"
    assert refused([*good[:2], good[2][:-1]]).reason == "pixels"
    assert refused(good, limit=240 * 240 * 3 - 1).reason == "size"
    assert refused([b"f.newest.garden.", *good[1:]]).reason == "topic"


def test_a_damaged_jpeg_is_refused() -> None:
    good = jpeg_parts()
    assert str(refused([*good[:2], good[2][:-20]])) == "the JPEG image is truncated"
    assert str(refused([*good[:2], b"\x89PNG" + bytes(100)])) == "the pixels are not a JPEG image"
    assert refused(with_header(good, height=47)).reason == "jpeg"
    size_at = bytes(good[2]).index(b"\xff\xc0")
    without_pixels = bytes(good[2][: size_at + 19])
    half = bytes(good[2][: len(good[2]) // 2 + 200])
    for damaged in (without_pixels + b"\xff\xd9", half + b"\xff\xd9"):
        header = decoding.decode_message([*good[:2], damaged], LIMIT)
        assert isinstance(header, FrameHeader)
        with pytest.raises(WireError, match="a damaged JPEG image"):
            decoding.decode_frame(header, damaged, 0)


@pytest.mark.parametrize("side", ["height", "width"])
def test_a_jpeg_of_another_size_than_its_header_says_is_refused(side: str) -> None:
    assert refused(with_header(jpeg_parts(), **{side: 16})).reason == "jpeg"


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    good = jpeg_parts()
    packed_picture = bytearray(good[2])
    start = packed_picture.index(b"\xff\xc0")
    packed_picture[start + 5 : start + 9] = (16000).to_bytes(2, "big") * 2
    bomb = memoryview(bytes(packed_picture))
    assert refused([*good[:2], bomb]).reason == "jpeg"
    announced = with_header([*good[:2], bomb], height=16000, width=16000)
    assert refused(announced).reason == "size"


def test_a_progressive_jpeg_is_refused() -> None:
    _, slow = cv2.imencode(".jpg", picture(), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert "baseline" in str(refused([*jpeg_parts()[:2], slow.data]))


def test_wrong_attention_is_refused() -> None:
    parts = encoding.encode_prediction(prediction(3, attention=LAYOUT), WEIGHTS)
    assert refused([*parts[:2], parts[2][:-2]]).reason == "attention"
    assert refused(parts, limit=10).reason == "size"
    for wrong in (np.nan, np.inf):
        weights = WEIGHTS.copy()
        weights[2, 2] = wrong
        with pytest.raises(WireError, match="finite"):
            decoding.decode_attention(LAYOUT, weights.data.cast("B"))


@pytest.mark.parametrize("how", ["raw", "jpeg"])
def test_a_picture_that_was_made_smaller_remembers_its_size_and_can_have_it_again(how: Encoding) -> None:
    small = np.full((24, 32, 3), 90, np.uint8)
    sent = Frame(FrameId("door", 1, 0, 0), small, 5, full_size=(49, 65))
    parts = encoding.encode_frame(sent, how, 90, 0)
    header = decoding.decode_message(parts, 10**6)
    assert isinstance(header, FrameHeader)
    assert header.source_size == (49, 65)
    assert decoding.decode_frame(header, parts[2], 1).image.shape == (24, 32, 3)
    whole = decoding.decode_frame(header, parts[2], 1, full_size=True)
    assert whole.image.shape == (49, 65, 3)
    assert np.abs(whole.image.astype(int) - 90).max() <= 2


@pytest.mark.parametrize(
    ("size", "limit", "reason"), [((9000, 9000), 10**6, "size"), ((20, 32), 10**6, "pixels")]
)
def test_a_source_size_that_can_not_be_is_refused(size: tuple[int, int], limit: int, reason: str) -> None:
    sent = Frame(FrameId("door", 1, 0, 0), np.zeros((24, 32, 3), np.uint8), 5, full_size=size)
    with pytest.raises(WireError) as caught:
        decoding.decode_message(encoding.encode_frame(sent, "raw", 90, 0), limit)
    assert caught.value.reason == reason


def test_what_is_sent_in_place_of_a_prediction_travels_with_its_measures() -> None:
    sent = bad_picture(3, "every", pts_ns=7, for_s=1.5, ok_for_s=0.25, why={"level": 40.5, "likeness": -0.1})
    parts = encoding.encode_bad_picture(sent)
    assert decoding.decode_message(parts, LIMIT) == sent
    assert sent.time_ns == 7
    assert refused(with_header(parts, state="ok")).reason == "header"
    assert refused(with_header(parts, state="rainy")).reason == "header"
    assert refused(with_header(parts, why=dict.fromkeys(map(str, range(17)), 0.0))).reason == "header"
    assert refused([b"f.every.door.", *parts[1:]]).reason == "topic"
    assert refused([*parts, b"x"]).reason == "parts"


@pytest.mark.parametrize("field", ["for_s", "ok_for_s"])
def test_a_fault_that_began_before_all_time_is_refused(field: str) -> None:
    parts = encoding.encode_bad_picture(bad_picture(3))
    header = msgspec.msgpack.decode(parts[1])
    with pytest.raises(WireError, match=field):
        decoding.decode_message([parts[0], msgspec.msgpack.encode({**header, field: 1e12})], LIMIT)
