"""Publisher and receivers over real sockets, in one process."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipeline.account.stats import WorkerStats
from pipeline.base.errors import WireError
from pipeline.base.frame import Policy
from pipeline.flow.freshness.ages import Feedback
from pipeline.flow.ring import Ring
from pipeline.wire import encoding, messages, topics
from pipeline.wire.arrivals import ReceivedFrame, ReceivedPrediction
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.messages import WIRE_VERSION, AttentionHeader, EndOfStream, TakeView
from pipeline.wire.motion_maps import pack_maps
from pipeline.wire.publisher import SMALL_QUEUE, Publisher
from pipeline.wire.receivers import PredictionReceiver, StatsReceiver
from pipeline.wire.subscriber import wait_any
from pipeline.wire.topics import Role
from tests.support import free_port
from tests.wire.peers import OPEN, QUICK, end, packed, prediction, seqs_of, until

Items = list[ReceivedFrame | EndOfStream]
Link = tuple[Publisher, FrameReceiver]


def drain(receiver: FrameReceiver, quiet_s: float = 0.3) -> Items:
    """Everything that arrives until nothing more does."""
    items: Items = []
    while some := receiver.poll(quiet_s, max_every=1000):
        items += some
    return items


def read_all(receiver: FrameReceiver, into: Items, pause_s: float = 0.0) -> None:
    """Reads until the end of the stream comes."""
    while not any(isinstance(item, EndOfStream) for item in into):
        into += receiver.poll(20.0, max_every=1) or pytest.fail("the end never came")
        time.sleep(pause_s)


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Link]:
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        Publisher(endpoint, QUICK, OPEN) as publisher,
        FrameReceiver([endpoint], "sink", QUICK, OPEN) as receiver,
    ):
        until_heard(publisher, sink=1)
        yield publisher, receiver
    assert list(tmp_path.iterdir()) == []


def whole_stream(count: int, stream_id: str = "door", side: int = 480) -> list[list[messages.Part]]:
    frames = [packed(seq, "every", stream_id, side) for seq in range(count)]
    return [*frames, encoding.encode_end(end(count, stream_id=stream_id), "frames")]


def until_heard(publisher: Publisher, **roles: int) -> None:
    until(lambda: publisher.listeners() == roles, f"listeners are {roles}")


@pytest.mark.parametrize("first", ["publisher", "receiver"])
@pytest.mark.parametrize("kind", ["ipc", "tcp"])
def test_either_may_start_first(kind: str, first: str, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames" if kind == "ipc" else f"tcp://localhost:{free_port()}"
    with ExitStack() as stack:
        if first == "publisher":
            publisher = stack.enter_context(Publisher(endpoint, QUICK, OPEN))
            receiver = stack.enter_context(FrameReceiver([endpoint], "sink", QUICK, OPEN))
        else:
            receiver = stack.enter_context(FrameReceiver([endpoint], "sink", QUICK, OPEN))
            publisher = stack.enter_context(Publisher(endpoint, QUICK, OPEN))
        until_heard(publisher, sink=1)
        publisher.send(packed(5, "every"))
        assert seqs_of(receiver.poll(10.0)) == [5]
    assert list(tmp_path.iterdir()) == []


def test_the_system_can_choose_the_port() -> None:
    with Publisher("tcp://127.0.0.1:0", QUICK, OPEN) as publisher:
        assert not publisher.endpoint.endswith(":0")
        with FrameReceiver([publisher.endpoint], "sink", QUICK, OPEN):
            until_heard(publisher, sink=1)


def test_listeners_come_and_go(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with Publisher(endpoint, QUICK, OPEN) as publisher:
        assert not publisher.listeners()
        with FrameReceiver([endpoint], "sink", QUICK, OPEN):
            with FrameReceiver([endpoint], "sink", QUICK, OPEN):
                with FrameReceiver([endpoint], "inference", QUICK, OPEN):
                    until_heard(publisher, sink=2, inference=1)
                until_heard(publisher, sink=2)
            until_heard(publisher, sink=1)
        until_heard(publisher)


def test_streams_whose_names_begin_alike_are_kept_apart(link: Link) -> None:
    publisher, receiver = link
    for stream_id in ("a", "ab", "a-b"):
        assert publisher.send(packed(0, "every", stream_id), 10.0)
    ids = [item.header.stream_id for item in drain(receiver) if isinstance(item, ReceivedFrame)]
    assert ids == ["a", "ab", "a-b"]
    assert receiver.rejects.counts == {}


def test_pixels_are_not_copied_on_receipt(link: Link) -> None:
    publisher, receiver = link
    publisher.send(packed(7, "every"))
    (item,) = receiver.poll(10.0)
    assert isinstance(item, ReceivedFrame)
    image = item.decode().image
    assert np.shares_memory(image, np.frombuffer(item.pixels, np.uint8))
    assert not image.flags.writeable
    receiver.close()
    assert (image == 7).all(), "pixels outlive their socket"


def test_every_frames_wait_for_the_slowest_reader(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        Publisher(endpoint, QUICK, OPEN) as publisher,
        FrameReceiver([endpoint], "sink", QUICK, OPEN) as slow,
        FrameReceiver([endpoint], "inference", QUICK, OPEN) as quick,
    ):
        until_heard(publisher, sink=1, inference=1)
        got_slow: Items = []
        got_quick: Items = []
        readers = [
            threading.Thread(target=read_all, args=(slow, got_slow, 0.005)),
            threading.Thread(target=read_all, args=(quick, got_quick)),
        ]
        for reader in readers:
            reader.start()
        refused = 0
        for parts in whole_stream(60):
            while not publisher.send(parts):
                refused += 1
                time.sleep(0.001)
        for reader in readers:
            reader.join(30.0)
        assert seqs_of(got_slow) == seqs_of(got_quick) == list(range(60))
        assert refused > 0


def test_a_stuck_reader_of_newest_frames_delays_neither_live_streams_nor_files(tmp_path: Path) -> None:
    """Both lanes share the publisher's socket, whose flag is set for each message."""
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        Publisher(endpoint, QUICK, OPEN) as publisher,
        FrameReceiver([endpoint], "sink", QUICK, OPEN) as stuck,
        FrameReceiver([endpoint], "inference", QUICK, OPEN) as quick,
    ):
        until_heard(publisher, sink=1, inference=1)
        for seq in range(200):
            assert publisher.send(packed(seq, "newest", "camera")), "a live frame never waits"
        live = seqs_of(stuck.poll(0.0, max_every=0) + quick.poll(5.0, max_every=0))
        assert live, "live frames arrive"
        files: Items = []
        reader = threading.Thread(target=read_all, args=(quick, files))
        reader.start()
        stuck_files: Items = []
        for seq in range(40):
            publisher.send(packed(seq, "newest", "camera"))
            while not publisher.send(packed(seq, "every", "file", side=480)):
                stuck_files += [item for item in stuck.poll(0.05, max_every=1) if _is_file(item)]
        while not publisher.send(encoding.encode_end(end(40, stream_id="file"), "frames"), 0.05):
            stuck_files += [item for item in stuck.poll(0.05, max_every=1) if _is_file(item)]
        reader.join(30.0)
        stuck_files += [item for item in drain(stuck) if _is_file(item)]
        assert seqs_of([item for item in files if _is_file(item)]) == list(range(40))
        assert seqs_of(stuck_files) == list(range(40))


def _is_file(item: ReceivedFrame | EndOfStream) -> bool:
    return isinstance(item, ReceivedFrame) and item.header.stream_id == "file"


def test_a_reader_without_room_for_files_still_gets_live_frames(
    link: Link,
) -> None:
    publisher, receiver = link
    seq = 0
    while publisher.send(packed(seq, "every", "file", side=480), timeout_s=0.3):
        seq += 1
    for live in range(50):
        publisher.send(packed(live, "newest", "camera"))
        assert seqs_of(receiver.poll(10.0, max_every=0)) == [live]
    assert seqs_of(drain(receiver)) == list(range(seq))


def test_a_slow_consumer_of_newest_frames_stays_fresh(link: Link) -> None:
    """The pattern for workers: a thread drains the wire into a ring; the slow part takes the newest."""
    publisher, receiver = link
    ring: Ring[ReceivedFrame] = Ring(2)
    stop = threading.Event()

    def pump() -> None:
        while not stop.is_set():
            for item in receiver.poll(0.05):
                assert isinstance(item, ReceivedFrame)
                ring.append(item)

    pumping = threading.Thread(target=pump)
    pumping.start()
    sent = 0
    for _ in range(5):
        for seq in range(sent, sent + 100):
            publisher.send(packed(seq))
        sent += 100

        def is_fresh() -> bool:
            nonlocal sent
            publisher.send(packed(sent))
            sent += 1
            item, _ = ring.pop_newest()
            return item is not None and item.header.seq >= sent - 2 * QUICK.queue_frames

        until(is_fresh, "a frame that is only a few behind the last one sent")
    stop.set()
    pumping.join()


def test_what_waits_for_a_stuck_reader_is_bounded(link: Link) -> None:
    publisher, receiver = link
    for seq in range(500):
        publisher.send(packed(seq, side=480))
    waiting = seqs_of(drain(receiver))
    # Both queues, what libzmq read ahead, and a frame under way in the system's buffer.
    assert 1 <= len(waiting) <= QUICK.queue_frames + 64 + 4


def test_a_receiver_has_room_for_a_burst_of_many_streams(link: Link) -> None:
    publisher, receiver = link
    for seq in range(150):
        publisher.send(packed(seq, side=480))
        time.sleep(0.002)
    assert len(drain(receiver)) > 2 * QUICK.queue_frames + 4


def test_a_prompt_receiver_loses_nothing_of_many_streams(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    streams = [f"camera-{number}" for number in range(12)]
    with (
        Publisher(endpoint, QUICK, OPEN, queue=QUICK.queue_frames * len(streams)) as publisher,
        FrameReceiver([endpoint], "sink", QUICK, OPEN) as receiver,
    ):
        until_heard(publisher, sink=1)
        first = packed(0, stream_id="first", side=20)
        until(lambda: publisher.send(first) and bool(receiver.poll(0.05)), "the other lane is up")
        for seq in range(20):
            for stream_id in streams:
                publisher.send(packed(seq, stream_id=stream_id, side=480))
            seen: Items = []

            def whole(seen: Items = seen, seq: int = seq) -> bool:
                seen += [item for item in receiver.poll(0.05) if _stream_of(item) != "first"]
                return seqs_of(seen) == [seq] * len(streams)

            until(whole, f"frame {seq} of all streams")


def _stream_of(item: ReceivedFrame | EndOfStream) -> str:
    return item.header.stream_id if isinstance(item, ReceivedFrame) else item.stream_id


def test_the_end_of_a_live_stream_reaches_a_reader_whose_queue_is_full(
    link: Link,
) -> None:
    publisher, receiver = link
    for seq in range(100):
        publisher.send(packed(seq, side=480))
    last = encoding.encode_end(end(100, "newest"), "frames")
    assert not publisher.send(last, timeout_s=0.1), "nobody reads yet"
    got: Items = []
    reader = threading.Thread(target=read_all, args=(receiver, got))
    reader.start()
    assert publisher.send(last, timeout_s=20.0)
    reader.join(20.0)
    got += drain(receiver)
    ends = [item for item in got if isinstance(item, EndOfStream)]
    assert ends == [end(100, "newest")], "it comes once, though it was repeated"
    assert isinstance(got[-1], EndOfStream)


@pytest.mark.parametrize("side", [10, 60, 480])
def test_closing_loses_nothing_that_a_slow_reader_has_yet_to_take(side: int, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    for _ in range(5):
        with FrameReceiver([endpoint], "inference", QUICK, OPEN) as receiver:
            got: Items = []
            reader = threading.Thread(target=read_all, args=(receiver, got, 0.002))
            publisher = Publisher(endpoint, QUICK, OPEN)
            until_heard(publisher, inference=1)
            reader.start()
            for parts in whole_stream(9, side=side):
                assert publisher.send(parts, timeout_s=20.0)
            publisher.close(linger_s=20.0)
            reader.join(20.0)
            assert seqs_of(got) == list(range(9))


def test_predictions_arrive_with_attention_and_their_end(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/predictions"
    layout = AttentionHeader(query_rows=7, query_columns=7, past=2, rows=7, columns=7)
    weights = np.full((49, 98), 0.5, np.float16)
    with (
        Publisher(endpoint, QUICK, OPEN, queue=SMALL_QUEUE) as publisher,
        PredictionReceiver([endpoint], QUICK, OPEN) as receiver,
    ):
        until_heard(publisher, sink=1)
        first = encoding.encode_prediction(prediction(0, attention=layout), weights)
        until(lambda: publisher.send(first) and bool(receiver.poll(0.05)), "the other lane is up")
        for seq in range(40):
            policy: Policy = "every" if seq % 2 else "newest"
            publisher.send(encoding.encode_prediction(prediction(seq, policy, attention=layout), weights))
        publisher.send(encoding.encode_end(end(40), "predictions"))
        got: list[ReceivedPrediction | EndOfStream] = []
        while not (len(got) >= 41 and end(40) in got):
            got += receiver.poll(20.0) or pytest.fail("predictions are missing")
    predictions = [item for item in got if isinstance(item, ReceivedPrediction)]
    assert {item.prediction.seq for item in predictions} == set(range(40))
    for item in predictions:
        assert item.attention is not None
        np.testing.assert_array_equal(item.attention, weights)


def test_motion_maps_arrive_on_both_lanes_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/predictions"
    flow = np.random.default_rng(1).normal(0, 5, (2, 2, 24, 32)).astype(np.float32)
    moving = np.linspace(0, 1, 24 * 32, dtype=np.float32).reshape(24, 32)
    layout, packed = pack_maps(flow, moving)
    lanes: tuple[Policy, Policy] = ("newest", "every")
    with (
        Publisher(endpoint, QUICK, OPEN, queue=SMALL_QUEUE) as publisher,
        PredictionReceiver([endpoint], QUICK, OPEN) as receiver,
    ):
        until_heard(publisher, sink=1)
        for policy in lanes:
            wanted = prediction(1, policy, motion_maps=layout)
            damaged = encoding.encode_prediction(wanted, packed_maps=packed[:-9])
            whole = encoding.encode_prediction(wanted, packed_maps=packed)
            got: list[ReceivedPrediction | EndOfStream] = []
            deadline = time.monotonic() + 20
            while not got:
                assert time.monotonic() < deadline
                publisher.send(damaged)
                publisher.send(whole)
                got += receiver.poll(0.05)
            for item in got:
                assert isinstance(item, ReceivedPrediction)
                assert item.motion_maps is not None
                np.testing.assert_array_equal(item.motion_maps.flow, flow.astype(np.float16))
                np.testing.assert_allclose(item.motion_maps.moving / 255, moving, atol=0.5 / 255 + 1e-6)
        assert receiver.rejects.counts.keys() == {"motion_maps"}
        assert receiver.rejects.counts["motion_maps"] >= 2


def test_figures_arrive_from_all_workers(tmp_path: Path) -> None:
    roles: tuple[Role, ...] = ("capture", "sink")
    places = {role: [f"ipc://{tmp_path}/{role}"] for role in roles}
    with ExitStack() as stack:
        receiver = stack.enter_context(StatsReceiver(places, QUICK, OPEN))
        publishers = {role: stack.enter_context(Publisher(places[role][0], QUICK, OPEN)) for role in roles}
        seen: set[str] = set()

        def heard() -> bool:
            for role, publisher in publishers.items():
                publisher.send(encoding.encode_stats(WorkerStats(role, role, 1, "host", 2)))
            seen.update(figures.worker for figures in receiver.poll(0.1))
            return seen == {"capture", "sink"}

        until(heard, "figures of both")


def test_one_wait_serves_several_receivers(tmp_path: Path) -> None:
    frames, predictions = f"ipc://{tmp_path}/frames", f"ipc://{tmp_path}/predictions"
    with (
        Publisher(frames, QUICK, OPEN) as first,
        Publisher(predictions, QUICK, OPEN) as second,
        FrameReceiver([frames], "sink", QUICK, OPEN) as of_frames,
        PredictionReceiver([predictions], QUICK, OPEN) as of_predictions,
    ):
        until_heard(first, sink=1)
        until_heard(second, sink=1)
        lanes = (*of_frames.lanes(), *of_predictions.lanes())
        assert not wait_any(0.01, lanes)
        assert not wait_any(0.01, ())
        second.send(encoding.encode_prediction(prediction(1, "every")))
        assert wait_any(10.0, lanes)
        assert not of_frames.poll()
        assert len(of_predictions.poll()) == 1
        first.send(packed(1, "every"))
        assert wait_any(10.0, lanes)
        assert not wait_any(0.01, of_frames.lanes(every=False)), "without room, files do not wake anybody"


def test_a_frame_that_receivers_would_refuse_is_not_sent(tmp_path: Path) -> None:
    with Publisher(f"ipc://{tmp_path}/frames", QUICK, OPEN) as publisher:
        too_large = [*packed(0)[:2], bytes(int(QUICK.max_frame_mb * 2**20) + 1)]
        with pytest.raises(WireError, match="max_frame_mb"):
            publisher.send(too_large)


def test_what_inference_tells_reaches_capture_and_nothing_else_does(link: Link) -> None:
    publisher, receiver = link
    first, second = feedback(age_ms=-12.5), feedback(age_ms=9000.0)
    receiver.send_feedback(first)
    for wrong in (b"age.", b"age.\x93rubbish", encoding.encode_feedback(feedback(age_ms=float("nan")))):
        receiver.lanes()[0].notify(wrong)
    receiver.lanes()[0].notify(topics.age(msgspec.msgpack.encode((WIRE_VERSION + 1, second))))
    receiver.send_feedback(second)
    told: list[Feedback] = []
    until(lambda: told.extend(publisher.pop_feedback()) or second in told, "the last word")
    assert told in ([first, second], [second]), "of what comes at once only the last is news"
    assert publisher.listeners() == {"sink": 1}


def test_a_view_that_the_sink_wants_is_known_to_inference_once(tmp_path: Path) -> None:
    wanted, later = TakeView("door", 5), TakeView("door", 6)
    with (
        Publisher(f"ipc://{tmp_path}/predictions", QUICK, OPEN) as publisher,
        PredictionReceiver([f"ipc://{tmp_path}/predictions"], QUICK, OPEN) as receiver,
    ):
        receiver.ask_for_view(wanted)
        wrong = msgspec.msgpack.encode((WIRE_VERSION + 1, TakeView("garden", 5)))
        for notice in (b"view.", b"view.\x93rubbish", topics.view(wrong)):
            receiver.lanes()[0].notify(notice)
        receiver.ask_for_view(later)
        told: list[TakeView] = []
        until(lambda: told.extend(publisher.pop_views_wanted()) or later in told, "the last wish")
        assert told in ([wanted, later], [later])
        assert publisher.pop_views_wanted() == []
        assert publisher.pop_feedback() == []


def feedback(age_ms: float) -> Feedback:
    return Feedback(
        stream_id="door", session=1, sent_ns=2, age_ms=age_ms, transit_ms=1.0, step_ms=1.0, since_ns=1
    )
