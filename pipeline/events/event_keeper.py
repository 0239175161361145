"""The thread that writes events and the motion log to the store."""

import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, Full, Queue

from pipeline.base.clock import now_ns
from pipeline.base.closing import Closing
from pipeline.base.episode import end_of
from pipeline.base.errors import UserError
from pipeline.base.event import Event, unix_ns
from pipeline.events.archive import Chunk
from pipeline.events.motion_log import LogPart, pack, unpack
from pipeline.events.store import Store, StoreError
from pipeline.scene.motion_grid import MotionGrid
from pipeline.scene.rule_input import STARTED, Cut, Look

_ROOM = 20_000
"""Queue length: 25 predictions per second of 16 streams for 50 s."""
_EVENTS_NS = 1_000_000_000
"""An event is written within this time, together with all predictions before it."""
_LOOKS_NS = 5_000_000_000
"""Interval between writes without events: at most this much of the motion log is lost if the process is
killed."""
_MERGED_NS = 60 * 10**9
"""Interval at which chunks are merged into one per stream, which halves their size."""
_FORGETS_NS = 60 * 10**9
_CLOSES_IN_S = 10.0
_TURN_S = 0.1


class Keeper(Closing):
    """Stores events and the motion log in order; ``close`` waits until everything is written.

    Args:
        path: Path of the store.
        keep_days: See ``Store``.
        max_mb: See ``Store``.
        told: Events reported by an earlier process; those missing from the store are added.
        room: Queue length; entries that do not fit are lost, and counted.

    Raises:
        UserError: The store cannot be opened, or is damaged.

    Attributes:
        adopted: End events for episodes that a killed process left open; already in the store.
    """

    def __init__(
        self,
        path: Path,
        keep_days: float,
        max_mb: float,
        *,
        told: Sequence[Event] = (),
        room: int = _ROOM,
    ) -> None:
        self._store = Store(path, keep_days, max_mb)
        self.path = path
        self._queue: Queue[tuple[str, LogPart] | Event] = Queue(room)
        self._stop = threading.Event()
        self._lost: Counter[str] = Counter()
        self._failure = ""
        try:
            self._store.write(told, [])
            self.adopted = _ends_of_open(self._store)
            self._store.write(self.adopted, [])
            self._store.forget_old(now_ns())
        except UserError:
            self._store.close()
            raise
        self._thread = threading.Thread(target=self._work, name="keeper", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Number of log entries and events lost because the queue was full."""
        return sum(self._lost.values())

    @property
    def loss(self) -> str:
        """What was lost and why, in one line; empty if nothing was."""
        if self._failure:
            return self._failure
        if not self._lost:
            return ""
        counts = " and ".join(f"{count} {what}" for what, count in sorted(self._lost.items()))
        return f"{self.path}: {counts} were not stored: the disk is too slow"

    def log(self, stream_id: str, part: LogPart) -> None:
        """Queues the next entry of a stream's motion log; does not block."""
        self._put((stream_id, part), "motion log entries")

    def keep(self, event: Event) -> None:
        """Queues an event; does not block."""
        self._put(event, "events")

    def close(self) -> None:
        """Writes the remaining entries and closes the store; may be called twice."""
        self._stop.set()
        self._thread.join(_CLOSES_IN_S)
        if self._thread.is_alive():
            self._failure = f"{self.path}: the last events could not be written: the disk does not respond"

    def _put(self, what: tuple[str, LogPart] | Event, name: str) -> None:
        if self._failure:
            return
        try:
            self._queue.put_nowait(what)
        except Full:
            self._lost[name] += 1

    # -- the thread --------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._write_all()
        except StoreError as error:
            self._failure = str(error)
        except BaseException:  # a bug: also reported as a loss
            self._failure = f"{self.path}: events are no longer stored: please report this bug"
            raise
        finally:
            self._store.close()

    def _write_all(self) -> None:
        looks: dict[str, list[LogPart]] = {}
        events: list[Event] = []
        written: dict[int, Chunk] = {}  # chunks written since the last merge, by number
        began_ns = merged_ns = forgot_ns = now_ns()
        while True:
            stopping = self._stop.is_set()  # read before the queue is emptied
            self._take_waiting(looks, events)
            due_ns = began_ns + (_EVENTS_NS if events else _LOOKS_NS)
            if stopping or now_ns() >= due_ns:
                chunks = [_chunk(name, parts) for name, parts in looks.items() if parts]
                if stopping or now_ns() - merged_ns >= _MERGED_NS:
                    self._store.write(events, _merged([*written.values(), *chunks]), [*written])
                    written, merged_ns = {}, now_ns()
                else:
                    written |= zip(self._store.write(events, chunks), chunks, strict=True)
                looks, events, began_ns = {}, [], now_ns()
            if began_ns - forgot_ns >= _FORGETS_NS:
                self._store.forget_old(began_ns)
                forgot_ns = began_ns
            if stopping:
                return

    def _take_waiting(self, looks: dict[str, list[LogPart]], events: list[Event]) -> None:
        """Takes all queued entries, waiting briefly for the first one."""
        try:
            what = self._queue.get(timeout=_TURN_S)
            while True:
                if isinstance(what, Event):
                    events.append(what)
                else:
                    looks.setdefault(what[0], []).append(what[1])
                what = self._queue.get_nowait()
        except Empty:
            return


def _merged(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Merges chunks into one per stream."""
    parts: dict[str, list[LogPart]] = {}
    for chunk in chunks:
        parts.setdefault(chunk.stream_id, []).extend(unpack(chunk.data))
    return [_chunk(name, each) for name, each in parts.items()]


def _chunk(stream_id: str, parts: list[LogPart]) -> Chunk:
    times_ns = [_wall_ns(part) for part in parts if not isinstance(part, Cut)] or [now_ns()]
    return Chunk(stream_id, min(times_ns), max(times_ns), pack(parts))


def _wall_ns(part: Look | MotionGrid) -> int:
    return part.now.wall_ns if isinstance(part, Look) else part.wall_ns


def _ends_of_open(store: Store) -> list[Event]:
    """End events for all open episodes, at the last time logged for their streams."""
    archive, ends = store.archive(), []
    for start in archive.open_starts():
        start_ns = unix_ns(start.time)
        at_ns = max(start_ns, archive.known_until_ns(start.stream_id) or 0)
        for_s = (at_ns - start_ns) / 1e9 + (start.for_s or 0.0)
        ends.append(end_of(start, at_ns, for_s, ended=STARTED.why))
    return ends
