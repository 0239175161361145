"""Memory that two processes share: whole frames or none, and no way to read anything else."""

import contextlib
import os
import resource
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipeline.base.errors import WireError
from pipeline.wire.messages import Offer
from pipeline.wire.shared.reader_seats import SegmentReaders
from pipeline.wire.shared.segment import Segment, SegmentError, Window
from tests.wire.peers import answer, program
from tests.wire.shared_helpers import shared_memory_of

LIMIT = 1 << 26
FULL_HD = (1080, 1920, 3)


def picture(value: int, shape: tuple[int, ...] = (4, 6, 3)) -> np.ndarray:
    return np.full(shape, value, np.uint8)


def open_files() -> set[str]:
    return {file.name for file in Path("/proc/self/fd").iterdir() if file.exists()}


@contextmanager
def made(slots: int = 3, frame_bytes: int = 72) -> Iterator[tuple[Segment, Offer]]:
    segment = Segment(slots, frame_bytes)
    try:
        yield segment, segment.offer("door")
    finally:
        segment.close()


def test_a_reader_gets_what_was_written_until_it_is_overwritten() -> None:
    with made() as (segment, offer), contextlib.closing(Window(offer, LIMIT)) as window:
        cut = np.arange(300, dtype=np.uint8).reshape(10, 10, 3)[2:6, 1:7]
        for ticket in range(5):
            segment.write(ticket, cut if ticket == 4 else picture(ticket))
        assert bytes(window.read(4, 72)) == cut.tobytes()
        assert bytes(window.read(3, 72)) == bytes([3]) * 72
        for gone in (0, 1):
            with pytest.raises(WireError) as caught:
                window.read(gone, 72)
            assert caught.value.reason == "overwritten"
        for never_written in (5, 2**63 - 2, 2**64 - 1):
            with pytest.raises(WireError, match="never written") as caught:
                window.read(never_written, 72)
            assert caught.value.reason == "shm"
        with pytest.raises(WireError, match="slot of 72"):
            window.read(4, 73)


def test_a_reader_keeps_what_it_opened_and_cannot_change_it() -> None:
    with made() as (segment, offer):
        window = Window(offer, LIMIT)
        segment.write(0, picture(9))
    assert bytes(window.read(0, 72)) == bytes([9]) * 72
    with pytest.raises(SegmentError):
        Window(offer, LIMIT)
    assert not window._pixels.flags.writeable
    window.close()


def test_a_reader_says_from_its_seat_what_it_has_read() -> None:
    with made() as (segment, offer), contextlib.closing(Window(offer, LIMIT)) as window:
        assert not window.sit(b"one"), "it has no seat yet"
        segment.seat({b"one", b"two"})
        assert segment.done(b"one") is None, "a seat alone says nothing"
        assert window.sit(b"one")
        assert (segment.done(b"one"), segment.done(b"two"), segment.done(b"three")) == (-1, None, None)
        for ticket in (0, 7):
            window.give_back(ticket)
            assert segment.done(b"one") == ticket
        segment.seat({b"one"})
        assert window.sit(b"one")
        assert segment.done(b"one") == 7, "to sit down again takes nothing back"


def test_who_has_lost_its_seat_does_not_speak_for_the_next() -> None:
    with made() as (segment, offer), contextlib.closing(Window(offer, LIMIT)) as window:
        segment.seat({b"one"})
        assert window.sit(b"one")
        window.give_back(5)
        segment.seat({b"two"})
        window.give_back(6)
        assert (segment.done(b"one"), segment.done(b"two")) == (None, None)
        with contextlib.closing(Window(offer, LIMIT)) as other:
            assert other.sit(b"two")
            assert segment.done(b"two") == -1


def test_a_seat_that_was_lost_is_the_last_to_be_given_again() -> None:
    with made() as (segment, offer), contextlib.closing(Window(offer, LIMIT)) as late:
        segment.seat({b"late"})
        assert late.sit(b"late")
        marks = late._marks
        for number in range(255):
            segment.seat({b"%d" % number})
            assert marks[late._seat] == 0, "empty while there are others"
        segment.seat({b"last"})
        assert marks[late._seat] != 0
        late.give_back(9)
        assert segment.done(b"last") is None, "who has lost the seat does not speak for the next one"


def test_more_readers_than_seats_are_let_down_gently() -> None:
    names = {b"%d" % number for number in range(300)}
    with made() as (segment, offer), contextlib.closing(Window(offer, LIMIT)) as window:
        segment.write(0, picture(3))
        segment.seat(names)
        seated = {name for name in names if window.sit(name)}
        assert len(seated) == 256
        segment.seat(names - seated)
        assert all(window.sit(name) for name in names - seated)
        assert bytes(window.read(0, 72)) == bytes([3]) * 72


def write_fast(connection: Connection) -> None:
    segment = Segment(3, int(np.prod(FULL_HD)))
    segment.write(0, picture(0, FULL_HD))
    connection.send(segment.offer("door"))
    connection.recv()
    ticket = 0
    while not connection.poll():
        ticket += 1
        segment.write(ticket, picture(ticket % 251, FULL_HD))
        if ticket % 8 == 0:
            connection.send(ticket)
    connection.send(None)


def test_no_torn_frame_is_ever_read_beside_a_fast_writer() -> None:
    whole = overwritten = 0
    with program(write_fast) as (process, connection):
        window = Window(answer(connection), LIMIT)
        connection.send("go")
        while whole < 20 or overwritten < 20:
            newest = answer(connection)
            for ticket in range(newest - 2, newest + 2):  # under its pen, and just before it
                try:
                    read = np.frombuffer(window.read(ticket, int(np.prod(FULL_HD))), np.uint8)
                except WireError:
                    overwritten += 1
                else:
                    whole += 1
                    assert read.min() == read.max() == ticket % 251
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)  # in the middle of a frame
        process.join()
        last, found = newest, 0
        with contextlib.suppress(EOFError):
            while True:
                last = connection.recv()
        for ticket in range(last, last + 50):
            try:
                read = np.frombuffer(window.read(ticket, int(np.prod(FULL_HD))), np.uint8)
            except WireError:
                continue
            found += 1
            assert read.min() == read.max() == ticket % 251
        assert found <= 3
        window.close()


@pytest.mark.parametrize("kind", ["file", "pipe", "device", "socket", "unsealed memory", "nothing"])
def test_an_offer_opens_nothing_but_a_segment(kind: str, tmp_path: Path) -> None:
    with made() as (segment, offer):
        size = os.fstat(offer.descriptor).st_size
        content = os.pread(offer.descriptor, size, 0)
        held = [_open(kind, tmp_path, content)]
        descriptor = held[0]
        about = os.fstat(descriptor) if descriptor >= 0 else os.fstat(0)
        wrong = msgspec.structs.replace(
            offer, descriptor=descriptor if descriptor >= 0 else 10_000, inode=about.st_ino
        )
        before = open_files()
        with pytest.raises(SegmentError):
            Window(wrong, LIMIT)
        assert open_files() == before
        if descriptor >= 0:
            os.close(descriptor)
        segment.write(0, picture(1))


def _open(kind: str, folder: Path, content: bytes) -> int:
    if kind == "file":
        (folder / "copy").write_bytes(content)
        return os.open(folder / "copy", os.O_RDONLY)
    if kind == "pipe":
        os.mkfifo(folder / "pipe")
        descriptor = os.open(folder / "pipe", os.O_RDWR)
        assert stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        return descriptor
    if kind == "device":
        return os.open("/dev/zero", os.O_RDONLY)
    if kind == "socket":
        import socket

        return socket.socket().detach()
    if kind == "unsealed memory":
        descriptor = os.memfd_create("copy")
        os.pwrite(descriptor, content, 0)
        return descriptor
    return -1


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"machine": "another"}, "another machine"),
        ({"token": bytes(16)}, "something else was found"),
        ({"inode": 1}, "something else was found"),
        ({"slots": 4}, "something else was found"),
        ({"frame_bytes": 8000}, "something else was found"),
        ({"frame_bytes": LIMIT + 1}, "max_frame_mb"),
        ({"pid": 2**31 - 1}, "No such"),
    ],
)
def test_an_offer_that_is_not_true_is_refused(changes: dict[str, object], text: str) -> None:
    with made(slots=3, frame_bytes=4096) as (_, offer), pytest.raises(SegmentError, match=text):
        Window(msgspec.structs.replace(offer, **changes), LIMIT)


def test_memory_that_cannot_be_had_is_an_error_in_words_and_leaves_nothing_open() -> None:
    before, limits = open_files(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(SegmentError, match=r"8 MB of shared memory is not available: File too large"):
            Segment(8, 1 << 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert open_files() == before


def test_a_closed_segment_leaves_nothing_behind() -> None:
    for _ in range(3):
        with made(8, 1 << 20) as (_, offer):
            window = Window(offer, LIMIT)
            assert shared_memory_of("self") == 2
            window.close()
        assert shared_memory_of("self") == 0


def test_a_reader_that_was_taken_for_a_liar_is_believed_once_its_seat_says_so() -> None:
    segment = Segment(2, 64)
    try:
        readers = SegmentReaders(segment)
        readers.note(b"opened", True, b"slow")
        assert readers.settle({b"slow"}, patience_s=60.0) == 0
        assert readers.settle({b"slow"}, patience_s=0.0) == 1
        assert (readers.ignored, readers.done) == ({b"slow"}, {})
        window = Window(segment.offer("door"), 64)
        assert window.sit(b"slow")
        assert readers.settle({b"slow"}, patience_s=0.0) == 0
        assert (readers.ignored, readers.done) == (set(), {b"slow": -1})
        window.close()
    finally:
        segment.close()
