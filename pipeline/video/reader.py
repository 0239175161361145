"""Reads one source in a thread: the newest frame of a camera, every frame of a file."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event, Thread

from pipeline.base.backoff import Backoff
from pipeline.base.clock import now_ns
from pipeline.base.frame import Policy, StreamState
from pipeline.flow.ring import Ring
from pipeline.video.pace import Pacer
from pipeline.video.source import Picture, Source, SourceError
from pipeline.video.tally import Tally

_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Captured:
    """A frame from a source with its position in the stream.

    Attributes:
        picture: The frame; never a damaged one.
        epoch: Number of reopenings and size changes of the source.
        seq: Number of the frame, from 0, across epochs; counts every frame that the source delivered.
        skipped: Frames that the reader dropped before this one: ``seq`` minus the number taken.
    """

    picture: Picture
    epoch: int
    seq: int
    skipped: int


class Reader:
    """Runs a source and counts its frames.

    With the policy ``newest`` the source is drained as fast as it delivers, and a slow caller misses the
    oldest frames, counted as ``capture.overflow``. With ``every`` the source waits for the caller: nothing is
    lost here, but a live source then falls behind or drops frames on its own side.

    A live source that fails or falls silent is reopened indefinitely, with back-off. A file that fails is not
    retried: once the state is ``ended``, ``error`` is the reason, or None if it ended normally. A file read
    with ``newest`` plays at its own rate.

    Once ``finished``, ``captured`` equals the frames taken plus ``sum(dropped.values())``; while the reader
    runs, ``captured`` also includes frames in the ring and one in progress.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        *,
        policy: Policy,
        backoff: Backoff,
        ring_frames: int,
        retry_first_open: bool,
        max_frames: int = 0,
        pace: bool = False,
        first_epoch: int = 0,
        held: bool = False,
        after: "Reader | None" = None,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        """Prepares the reader; ``start`` starts it.

        Args:
            open_source: Creates the source; called for each attempt to open it.
            policy: What happens to frames when the caller is late.
            backoff: Delays before reopening; reset when a frame arrives.
            ring_frames: Largest number of frames that wait for the caller.
            retry_first_open: Whether to retry a live source that can't be opened at the start.
            max_frames: End after this many frames; 0 for no limit.
            pace: Whether to play a file at its own rate instead of as fast as possible.
            first_epoch: Epoch of the first opening.
            held: Whether to open the source but capture nothing before ``release``: a file waits at its first
                frame, and frames of a live source are discarded.
            after: Previous reader of the stream, which has ended; counts continue, with the next epoch.
            on_change: Called in the reader's thread after each frame and each change of state.
        """
        self.error: SourceError | None = None
        self.retry_ns = 0  # Unix time in ns of the next or current attempt to open the source; 0: none
        self._open_source = open_source
        self._policy = policy
        self._backoff = backoff
        self._retry_first_open = retry_first_open
        self._pace = pace
        self._epoch: int = after._epoch + 1 if after else first_epoch
        self._ring: Ring[tuple[Picture, int, int]] = Ring(ring_frames)
        self._tally: Tally = after._tally if after else Tally()
        self._taken: int = after._taken if after else 0
        self._max_frames = max_frames + self._tally.captured if max_frames else 0
        self._state: StreamState = "waiting"
        self._source: Source | None = None
        self._fps: float | None = None
        self._size: tuple[int, ...] | None = None
        self._stopping = Event()
        self._released = Event()
        if not held:
            self._released.set()
        self._on_change = on_change or (lambda: None)
        self._thread = Thread(target=self._run, name="reader", daemon=True)

    @property
    def state(self) -> StreamState:
        """``waiting`` for the first frame, ``up``, ``down`` until the next one, or ``ended``."""
        return self._state

    @property
    def epoch(self) -> int:
        """The epoch of the newest frame."""
        return self._epoch

    @property
    def fps(self) -> float | None:
        """Nominal frame rate of the source; None before its first frame, or if it does not provide one."""
        return self._fps

    @property
    def captured(self) -> int:
        """Frames that the source delivered."""
        return self._tally.captured

    @property
    def dropped(self) -> dict[str, int]:
        """Frames that the reader dropped, by reason: ``capture.overflow``, ``.damaged``, ``.stopped``."""
        return self._tally.dropped

    @property
    def finished(self) -> bool:
        """Whether the source has ended, failed permanently or been stopped, and every frame was taken."""
        return self._ring.finished

    def start(self) -> None:
        """Starts reading. If the first opening fails for good, it sets ``error`` and the state ``ended``."""
        self._thread.start()

    def release(self) -> None:
        """Starts capturing, if the reader was created with ``held``."""
        self._released.set()

    def take(self, timeout_s: float) -> Captured | None:
        """The oldest waiting frame; None if none arrives within ``timeout_s``, or if ``finished``."""
        item = self._ring.pop(timeout_s)
        if item is None:
            return None
        picture, epoch, seq = item
        # Frames are in order, so every earlier one was either taken or dropped.
        captured = Captured(picture, epoch, seq, skipped=seq - self._taken)
        self._taken += 1
        return captured

    def pop_events(self) -> list[str]:
        """Human-readable events since the last call, oldest first; without passwords."""
        return self._tally.pop_events()

    def stop(self, timeout_s: float) -> bool:
        """Stops reading; frames in the ring can still be taken or discarded.

        Returns:
            Whether the thread has ended within ``timeout_s``. It ends at the latest after the source's open
            or read timeout, and never prevents the program from exiting.
        """
        self._stopping.set()
        if self._thread.ident is None:
            self._end()
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def discard(self) -> int:
        """Drops the frames left in the ring, counted as ``capture.stopped``; returns their number."""
        newest, older = self._ring.pop_newest()
        count = len(older) + (newest is not None)
        if count:
            self._tally.drop("capture.stopped", count)
        return count

    def _run(self) -> None:
        try:
            while not self._done():
                if not self._read_until_lost():
                    break
        except SourceError as error:
            self.error = error
        except Exception as error:  # a dead thread would look like a waiting camera
            self.error = _defect("reader", error)
        self._end()

    def _end(self) -> None:
        if self.error is not None:
            self._tally.report(f"failed: {self.error}")
        self._state, self.retry_ns, self._source = "ended", 0, None
        self._ring.close()
        self._on_change()

    def _done(self) -> bool:
        return self._stopping.is_set() or 0 < self._max_frames <= self._tally.captured

    def _read_until_lost(self) -> bool:
        """Opens the source once and reads it; waits and returns True if it should be reopened."""
        try:
            self._source = self._open_source()
            with self._source as source:
                self._follow(source)
                return False
        except SourceError as error:
            lost = error
        except Exception as error:  # a bug in a decoder or driver must not end a live stream
            lost = _defect(self._source.description if self._source else "reader", error)
        first = self._state == "waiting"
        live = self._source is not None and self._source.live
        if not live or lost.kind == "bad_url":
            raise lost
        if first and not self._retry_first_open:
            advice = f"{lost.advice} (--set capture.retry_first_open=true waits for it)"
            raise SourceError(lost.kind, lost.source, advice) from lost
        self._wait_to_reopen(lost)
        return True

    def _came_up(self, source: Source) -> None:
        if self._state == "down":
            self._epoch += 1
        self._backoff.reset()
        self._size, self._fps = None, source.fps
        rate = f" at {source.fps:.4g} fps" if source.fps else ""
        note = f" ({source.note})" if source.note else ""
        self._tally.report(f"up: {source.description}{rate}{note}")
        self._state, self.retry_ns = "up", 0
        self._on_change()

    def _wait_to_reopen(self, error: SourceError) -> None:
        wait_s = self._backoff.next_s()
        self._tally.report(f"down: {error}; trying again in {wait_s:.1f} s")
        if self._state == "up":
            self._state = "down"
        self.retry_ns = now_ns() + int(wait_s * 1e9)
        self._on_change()
        self._stopping.wait(wait_s)

    def _follow(self, source: Source) -> None:
        paced = not source.live and (self._pace or self._policy == "newest")
        pacer = Pacer(source.fps) if paced else None
        while not self._done():
            picture = source.read()
            if picture is None:
                return
            if self._state != "up":
                self._came_up(source)
            if not self._released.is_set():
                if source.live or not self._wait_for_release():
                    continue
                picture = replace(picture, capture_ns=now_ns())  # latency must not include the wait
            if pacer is not None:
                self._stopping.wait(pacer.wait_s(picture))
                picture = replace(picture, capture_ns=now_ns())
            self._deliver(picture)
            self._on_change()

    def _wait_for_release(self) -> bool:
        """Holds a file's first frame; False if the reader is stopped first."""
        while not self._released.wait(_POLL_S):
            if self._stopping.is_set():
                return False
        return True

    def _deliver(self, picture: Picture) -> None:
        seq = self._tally.capture()
        if picture.damaged:
            self._tally.drop("capture.damaged")
            return
        self._note_size(picture)
        item = (picture, self._epoch, seq)
        if self._policy == "newest":
            if self._ring.append(item) is not None:
                self._tally.drop("capture.overflow")
            return
        while not self._ring.put(item, _POLL_S):
            if self._stopping.is_set():
                self._tally.drop("capture.stopped")
                return

    def _note_size(self, picture: Picture) -> None:
        size = picture.image.shape
        if self._size is not None and size != self._size:
            self._epoch += 1
            self._tally.report(f"new size: {size[1]}x{size[0]}, was {self._size[1]}x{self._size[0]}")
        self._size = size


def _defect(source: str, error: Exception) -> SourceError:
    """An unexpected error, in one line."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return SourceError("failed", source, f"bug in this program: {text}")
