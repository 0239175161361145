"""A segment of shared memory: a ring of frame slots in a memfd.

The writer creates the memory and offers it; a reader on the same machine opens it through
``/proc/<pid>/fd/<n>``. It has no name, so a killed process leaves nothing behind: the memory is freed
when the last process that maps it has ended. It is sealed against shrinking, so that a reader can't be made
to read past its end.

Each slot has a sequence number: odd during a write, ``2 * ticket + 2`` when it holds the frame with that
ticket. A reader compares it before and after its copy, and so detects torn frames.

The writer assigns a seat to each reader: an entry beside the slots, and the only place where the reader
writes. There it marks that it has opened the memory, which is impossible from another machine, and which
frames it no longer needs.
"""

import fcntl
import mmap
import os
import secrets
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.base.errors import WireError
from pipeline.base.frame import Image
from pipeline.wire.messages import MOST_SLOTS, Offer

TOKEN_BYTES = 16
_MAGIC = b"KVQRING2"
_PAGE = mmap.PAGESIZE
_LINE = 64
_SEALS = 0 if not hasattr(fcntl, "F_SEAL_SHRINK") else fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
_FENCE = threading.Lock()
_MOST_SEATS = _PAGE // 16
_OPENED = 1
"""Mark of a reader that has opened the segment; after a frame is returned, the mark is its ticket + 2."""

assert _LINE * (MOST_SLOTS + 1) <= _PAGE


class SegmentError(Exception):
    """Shared memory can't be created or opened; the message gives the reason."""


class Segment:
    """The writer's end: a ring of ``slots`` frames of ``frame_bytes`` each; used by one thread.

    Args:
        slots: Number of frames.
        frame_bytes: Size of each in bytes.

    Raises:
        SegmentError: The system does not support memfd or lacks memory.
    """

    def __init__(self, slots: int, frame_bytes: int) -> None:
        self.slots = slots
        self.token = secrets.token_bytes(TOKEN_BYTES)
        self._frame_bytes = frame_bytes
        size = _size(slots, frame_bytes)
        self._fd = -1
        self._map: mmap.mmap | None = None
        try:
            self._fd = os.memfd_create("kvq-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            os.posix_fallocate(self._fd, 0, size)  # allocate now: a later shortage would raise SIGBUS
            fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, _SEALS | fcntl.F_SEAL_SEAL)
            memory = self._map = mmap.mmap(self._fd, size)
        except (OSError, AttributeError) as error:  # AttributeError: not Linux
            self.close()
            cause = error.strerror if isinstance(error, OSError) else "this system has no memfd"
            raise SegmentError(f"{size / 2**20:.0f} MB of shared memory is not available: {cause}") from None
        memory[: len(_MAGIC) + TOKEN_BYTES] = _MAGIC + self.token
        self._numbers, self._pixels = _views(memory, slots, frame_bytes)
        self._seats = memoryview(memory)[_PAGE : 2 * _PAGE].cast("Q")
        self._seated: dict[bytes, int] = {}
        self._next_seat = 0

    def offer(self, stream_id: str) -> Offer:
        """The data that a reader of a stream needs to open it."""
        about = os.fstat(self._fd)
        return Offer(
            stream_id=stream_id,
            machine=machine(),
            pid=os.getpid(),
            descriptor=self._fd,
            inode=about.st_ino,
            token=self.token,
            slots=self.slots,
            frame_bytes=self._frame_bytes,
        )

    def write(self, ticket: int, image: Image) -> None:
        """Copies an image into the slot of ``ticket``, replacing the frame of ``slots`` tickets ago."""
        place = ticket % self.slots
        self._numbers[place] = 2 * ticket + 1
        _fence()
        np.copyto(self._pixels[place, : image.nbytes].reshape(image.shape), image)
        _fence()
        self._numbers[place] = 2 * ticket + 2

    def seat(self, readers: Iterable[bytes]) -> None:
        """Assigns a seat to each of these readers while there are free ones, and frees all other seats.

        Seats are reused as late as possible: the former reader may be about to mark its seat.
        """
        wanted = set(readers)
        for name in self._seated.keys() - wanted:
            place = self._seated.pop(name)
            self._seats[2 * place] = self._seats[2 * place + 1] = 0
        taken = set(self._seated.values())
        places = ((self._next_seat + more) % _MOST_SEATS for more in range(_MOST_SEATS))
        free = [place for place in places if place not in taken]
        for name, place in zip(wanted - self._seated.keys(), free, strict=False):
            self._seated[name] = place
            self._next_seat = (place + 1) % _MOST_SEATS
            self._seats[2 * place + 1] = 0
            self._seats[2 * place] = _number(name)

    def done(self, reader: bytes) -> int | None:
        """The last ticket that a reader no longer needs, or -1; None if it has not opened the segment."""
        place = self._seated.get(reader)
        mark = self._seats[2 * place + 1] if place is not None else 0
        return mark - _OPENED - 1 if mark else None

    def close(self) -> None:
        """Frees the memory; readers keep their mappings."""
        if self._map:
            self._seats.release()
            del self._numbers, self._pixels
            self._map.close()
            self._map = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Window:
    """A reader's mapping of a segment, read-only except for its seat.

    Args:
        offer: The writer's offer.
        most_bytes: Largest accepted frame.

    Raises:
        SegmentError: It can't be opened, or does not match the offer.
    """

    def __init__(self, offer: Offer, most_bytes: int) -> None:
        if offer.machine != machine():
            raise SegmentError("it is on another machine")
        if offer.frame_bytes > most_bytes:
            raise SegmentError(
                f"its frames of {offer.frame_bytes} bytes are larger than wire.max_frame_mb allows"
            )
        size = _size(offer.slots, offer.frame_bytes)
        self._slots, self._frame_bytes = offer.slots, offer.frame_bytes
        try:
            with _opened(offer, size) as descriptor:
                self._map = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
                try:
                    self._seats = mmap.mmap(descriptor, _PAGE, offset=_PAGE)
                except OSError:
                    self._map.close()
                    raise
        except OSError as error:
            raise SegmentError(error.strerror or "it can't be opened") from None
        if self._map[: len(_MAGIC) + TOKEN_BYTES] != _MAGIC + offer.token:
            self._map.close()
            self._seats.close()
            raise SegmentError("something else was found in its place")
        self._numbers, self._pixels = _views(self._map, offer.slots, offer.frame_bytes)
        self._marks = memoryview(self._seats).cast("Q")
        self._name, self._seat = 0, 0

    def sit(self, reader: bytes) -> bool:
        """Marks the reader's seat as open; False if it has no seat yet, or no longer has one."""
        self._name = _number(reader)
        names = self._marks[::2].tolist()
        if self._name not in names:
            return False
        self._seat = 2 * names.index(self._name)
        self._marks[self._seat + 1] = self._marks[self._seat + 1] or _OPENED
        return True

    def give_back(self, ticket: int) -> None:
        """Marks the frames up to this ticket as no longer needed."""
        _fence()
        if self._marks[self._seat] == self._name:  # the writer may have reassigned the seat
            self._marks[self._seat + 1] = ticket + _OPENED + 1

    def read(self, ticket: int, length: int) -> memoryview:
        """A copy of the first ``length`` bytes of the frame with that ticket.

        Raises:
            WireError: ``overwritten``: a later frame has overwritten it, possibly during the copy.
                ``shm``: it is larger than a slot, or was never written.
        """
        if length > self._frame_bytes:
            raise WireError("shm", f"a frame of {length} bytes in a slot of {self._frame_bytes}")
        place, whole = ticket % self._slots, 2 * ticket + 2
        if int(self._numbers[place]) < whole:
            raise WireError("shm", "a frame that was never written to the shared memory")
        if int(self._numbers[place]) == whole:
            _fence()
            copy = self._pixels[place, :length].copy()
            _fence()
            if int(self._numbers[place]) == whole:
                return copy.data
        raise WireError("overwritten", "a frame was overwritten before it was read")

    def close(self) -> None:
        """Unmaps the segment; copies stay valid."""
        del self._numbers, self._pixels
        self._marks.release()
        self._seats.close()
        self._map.close()


@cache
def machine() -> str:
    """Identifier of this machine and its current boot; empty if unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
    except OSError:
        return ""


def _size(slots: int, frame_bytes: int) -> int:
    return 2 * _PAGE + slots * _stride(frame_bytes)


def _stride(frame_bytes: int) -> int:
    return -(-frame_bytes // _PAGE) * _PAGE


def _views(
    memory: mmap.mmap, slots: int, frame_bytes: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
    """Sequence numbers of the slots, ``(slots,)``, a cache line apart, and pixels, ``(slots, stride)``."""
    numbers = np.frombuffer(memory, np.uint64, _PAGE // 8)[_LINE // 8 :: _LINE // 8][:slots]
    stride = _stride(frame_bytes)
    pixels = np.frombuffer(memory, np.uint8, slots * stride, 2 * _PAGE).reshape(slots, stride)
    return numbers, pixels


def _number(reader: bytes) -> int:
    """A reader's name as a non-zero 64-bit hash."""
    return int.from_bytes(blake2b(reader, digest_size=8).digest(), "little") or 1


@contextmanager
def _opened(offer: Offer, size: int) -> Iterator[int]:
    """Opens a segment after checking that it is one: an offer may name any file.

    ``O_PATH`` has no side effects; fully opening a device or a pipe might have some.
    """
    path = os.open(f"/proc/{offer.pid}/fd/{offer.descriptor}", os.O_PATH | os.O_CLOEXEC)
    descriptor = -1
    try:
        about = os.fstat(path)
        if not stat.S_ISREG(about.st_mode) or (about.st_ino, about.st_size) != (offer.inode, size):
            raise SegmentError("something else was found in its place")
        descriptor = os.open(f"/proc/self/fd/{path}", os.O_RDWR | os.O_CLOEXEC)
        if not fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK:
            raise SegmentError("it is not sealed against shrinking")
        yield descriptor
    finally:
        os.close(path)
        if descriptor >= 0:
            os.close(descriptor)


def _fence() -> None:
    """A full memory barrier, for processors that reorder reads and writes (ARM).

    Python has none. Acquiring and releasing a lock twice has that effect: nothing is reordered across a
    release followed by an acquire.
    """
    for _ in range(2):
        with _FENCE:
            pass
