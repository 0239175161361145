"""The memory of one stream: its sizes, its offers, and when frames go through the socket instead."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipeline.base.frame import Policy
from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.frame_publisher import FramePublisher
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.shared import mapping as windows
from pipeline.wire.shared import stream_memory
from tests.support import named_shared_memory
from tests.wire.peers import OPEN, QUICK, answer, frame, program, seqs_of, until
from tests.wire.shared_helpers import (
    publish_all,
    publish_forever,
    publisher_and_sink,
    publisher_at,
    read_all,
    send_until_shared,
    shared_memory_of,
    take,
    wait_for_readers,
)


def test_a_killed_publisher_leaves_nothing_and_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = named_shared_memory()
    monkeypatch.setattr(windows, "_IDLE_S", 0.5)
    monkeypatch.setattr(windows, "_SWEEP_S", 0.05)
    endpoint = f"ipc://{tmp_path}/frames"
    with FrameReceiver([endpoint], "sink", QUICK, OPEN) as receiver:
        for session in (1, 2):
            with program(publish_forever, endpoint, "newest", session) as (process, connection):
                until(lambda: bool(receiver.poll(0.05)) and connection.poll(), "shared frames")
                assert answer(connection) == "shared"
                seen: set[tuple[int, str]] = set()

                def shared(session: int = session, seen: set[tuple[int, str]] = seen) -> bool:
                    for item in receiver.poll(0.1):
                        assert isinstance(item, ReceivedFrame)
                        if item.lost:  # it came too late for it
                            continue
                        assert item.decode().image[0, 0, 0] == item.header.seq % 256
                        seen.add((item.header.session, item.header.encoding))
                    return (session, "shm") in seen

                until(shared, f"frames of publisher {session}")
                assert shared_memory_of("self") >= 1
                assert process.pid
                os.kill(process.pid, signal.SIGKILL)
                process.join()

        def gone() -> bool:
            receiver.poll(0.02)
            return not shared_memory_of("self")

        until(gone, "the reader lets the memory of dead publishers go")
        assert receiver.rejects.counts.keys() <= {"overwritten"}
    until(lambda: named_shared_memory() <= before, "nothing is left but what others may have by now")


class Idling:
    """Readers that get nothing until they give up what they have open; not before, however slow all is."""

    def __init__(self, patch: pytest.MonkeyPatch, publisher: FramePublisher, *readers: FrameReceiver) -> None:
        self._patch, self._publisher, self._readers = patch, publisher, readers
        self._others = shared_memory_of("self")

    def until_it_is_taken_back(self) -> None:
        """The publisher has heard of all that they do not have it open any more."""
        self._until(lambda: not any(one.done for one in self._publisher.audience.segments.values()))

    def until_it_is_let_go(self) -> None:
        """None has it in its memory: only the publisher, which is in this process too, has its own."""
        self._until(lambda: shared_memory_of("self") == self._others + 1)

    def _until(self, given_up: Callable[[], bool]) -> None:
        def has_come() -> bool:
            for reader in self._readers:
                assert reader.poll(0.02) == []
            self._publisher.listeners()  # which takes in what readers say
            return given_up()

        with self._patch.context() as patch:
            patch.setattr(windows, "_IDLE_S", 0.2)
            until(has_come, "idle memory is given up")


def test_memory_that_was_idle_is_offered_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "_SWEEP_S", 0.05)
    with publisher_and_sink(tmp_path) as (publisher, receiver):
        idling = Idling(monkeypatch, publisher, receiver)
        seq = 0
        for wait in (idling.until_it_is_taken_back, idling.until_it_is_let_go):
            before = publisher.sent("door")["shm"]
            while publisher.sent("door")["shm"] < before + 3:
                assert publisher.send_frame(frame(seq, "every"), timeout_s=10.0)
                assert take(receiver).header.seq == seq
                seq += 1
            wait()
        assert shared_memory_of("self"), "the publisher still has its own"


@pytest.mark.parametrize("policy", ["newest", "every"])
def test_memory_that_was_offered_more_than_once_can_be_given_up(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers that are slow to answer get the same offer several times."""
    monkeypatch.setattr(windows, "_SWEEP_S", 0.05)
    monkeypatch.setattr(stream_memory, "_OFFER_S", 0.0)  # with each frame
    endpoint = f"ipc://{tmp_path}/frames"
    roomy = msgspec.structs.replace(QUICK, queue_frames=16)  # for all that is sent before anybody reads
    with (
        publisher_at(endpoint, roomy) as publisher,
        FrameReceiver([endpoint], "sink", roomy, OPEN) as one,
        FrameReceiver([endpoint], "inference", roomy, OPEN) as other,
    ):
        wait_for_readers(publisher, 2)
        idling = Idling(monkeypatch, publisher, one, other)
        for seq in range(2):
            assert publisher.send_frame(frame(seq, policy), timeout_s=10.0)
        for receiver in (one, other):
            until(lambda receiver=receiver: 1 in seqs_of(receiver.poll(0.1)), "all taken")
        seq = 2
        for _ in range(2):
            before = publisher.sent("door")["shm"]
            while publisher.sent("door")["shm"] < before + 3:
                assert publisher.send_frame(frame(seq, policy), timeout_s=10.0)
                assert [take(receiver).header.seq for receiver in (one, other)] == [seq, seq]
                seq += 1
                assert seq < 200
            idling.until_it_is_let_go()
        assert one.rejects.counts == other.rejects.counts == {}


def test_nothing_is_lost_where_sizes_change_and_readers_are_slow(tmp_path: Path) -> None:
    """An offer must not cost the frame after it: the queue of a reader may be full just then."""
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        publisher_at(endpoint) as publisher,
        FrameReceiver([endpoint], "sink", QUICK, OPEN) as quick,
        FrameReceiver([endpoint], "inference", QUICK, OPEN) as slow,
    ):
        wait_for_readers(publisher, 2)
        got: dict[str, list[int]] = {"quick": [], "slow": []}
        seq, count = 0, 120
        deadline = time.monotonic() + 60
        while min(map(len, got.values())) < count:
            assert time.monotonic() < deadline, got
            side = 300 + 40 * (seq // 6)
            sent = seq < count and publisher.send_frame(frame(seq, "every", side=side))
            seq += sent
            got["quick"] += [item.header.seq for item in quick.poll() if isinstance(item, ReceivedFrame)]
            if not sent:  # its queue is full
                news = slow.poll(max_every=1)
                got["slow"] += [item.header.seq for item in news if isinstance(item, ReceivedFrame)]
        assert got == {"quick": list(range(count)), "slow": list(range(count))}


def test_pictures_of_many_sizes_share_memory(tmp_path: Path) -> None:
    with publisher_and_sink(tmp_path) as (publisher, receiver):
        before = shared_memory_of("self")
        for seq in range(60):
            side = 400 + seq % 13
            assert publisher.send_frame(frame(seq, "every", side=side), timeout_s=10.0)
            item = take(receiver)
            assert item.decode().image.shape == (side, side, 3)
            time.sleep(0.002)
        assert publisher.sent("door")["shm"] > 40
        assert shared_memory_of("self") - before <= 4


def test_another_size_gets_memory_of_its_own(tmp_path: Path) -> None:
    with publisher_and_sink(tmp_path) as (publisher, receiver):
        seq = 0
        for side in (240, 100, 480):
            before = publisher.sent("door")["shm"]
            while publisher.sent("door")["shm"] < before + 10:
                assert publisher.send_frame(frame(seq, "every", side=side), timeout_s=10.0)
                item = take(receiver)
                assert item.header.seq == seq
                assert item.decode().image.shape == (side, side, 3)
                seq += 1
        assert receiver.rejects.counts == {}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"limit": 100_000}, "shared memory is not available"),
        ({"shm_mb": 0.4}, "capture.shm_mb is less than"),
    ],
)
def test_without_enough_memory_frames_go_through_the_socket(
    changes: dict[str, float], told: str, tmp_path: Path
) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        program(read_all, endpoint, 0.0) as (_, reader),
        program(publish_all, endpoint, 30, 240, changes) as (_, writer),
    ):
        assert answer(reader) == answer(writer) == "up"
        assert answer(reader) == (list(range(30)), [])
        sent, _, (event,) = answer(writer)
        assert sent == {"raw": 30}
        assert event.startswith("door: frames go through the socket: ")
        assert told in event


def test_frames_that_never_fit_leave_the_memory_to_the_others(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/frames"
    with (
        publisher_at(endpoint, shm_mb=2) as publisher,
        FrameReceiver([endpoint], "sink", QUICK, OPEN) as receiver,
    ):
        wait_for_readers(publisher, 1)
        seq = send_until_shared(publisher, receiver, side=240)
        before = shared_memory_of("self")
        for large in range(20):
            for side, encoding in ((500, "raw"), (240, "shm")):
                assert publisher.send_frame(frame(seq, "every", side=side), timeout_s=10.0)
                item = take(receiver)
                assert (item.header.id.seq, item.header.encoding) == (seq, encoding), large
                np.testing.assert_array_equal(item.decode().image, frame(seq, side=side).image)
                seq += 1
        assert shared_memory_of("self") == before
        (event,) = publisher.pop_events()
        assert event == "door: frames go through the socket: capture.shm_mb is less than 3 frames of 1 MB"
