"""The event store of the sink; failures are reported and do not stop the sink."""

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from pipeline.base.errors import UserError
from pipeline.base.event import Event, unix_ns
from pipeline.base.line_file import STDOUT
from pipeline.events.archive import Archive, Wanted
from pipeline.events.event_keeper import Keeper
from pipeline.events.motion_log import DamagedChunkError, LogPart, SeenCount, unpack_counts
from workers.base import Worker

_READ_BACK = 4 << 20  # bytes


class Keeping:
    """Stores events and the motion log, if a store is configured.

    Args:
        sink: The sink; the store is closed with its resources.

    Attributes:
        adopted: End events of the events that a killed sink left open.

    Raises:
        UserError: The store can't be opened. A restarted sink continues without it instead.
    """

    def __init__(self, sink: Worker) -> None:
        self._sink, self._keeper = sink, None
        self._lost = ""
        self.adopted: list[Event] = []
        path, store = sink.config.store_file(), sink.config.store
        if path is None:
            return
        try:
            self._keeper = Keeper(path, store.keep_days, store.max_mb, told=self._told_before())
        except UserError as error:
            if not sink.restarts:
                raise
            self._lose(str(error))
            return
        sink.resources.callback(self._close)
        sink.stats.details["store"] = {"path": str(path)}
        self.adopted = self._keeper.adopted
        if self.adopted:
            sink.event(f"events: ended {len(self.adopted)} left open by a sink that was killed")

    def _told_before(self) -> list[Event]:
        """Events that an earlier sink of this run wrote to the events file; the store may lack some."""
        path = self._sink.config.sink.events
        if not self._sink.restarts or path in ("", STDOUT):
            return []
        found: list[Event] = []
        with suppress(OSError), Path(path).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _READ_BACK))
            for line in file:
                with suppress(ValueError):  # a partial line, or a time that is none
                    event = msgspec.json.decode(line, type=Event)
                    if unix_ns(event.time) >= self._sink.began_ns:
                        found.append(event)
        return found

    def newest(self, since_ns: int | None, kind: str | None, stream_id: str | None, most: int) -> list[Event]:
        """Stored events, newest first; thread-safe.

        Raises:
            UserError: The store can't be read, or none is configured.
        """
        with self._archive() as archive:
            return archive.newest(Wanted(since_ns=since_ns, kind=kind, stream_id=stream_id), most)

    def motion(self, stream_id: str, since_ns: int, until_ns: int) -> list[SeenCount]:
        """Counts of moving objects in the frames of a stream between two Unix times; thread-safe.

        Damaged parts of the log are skipped.

        Raises:
            UserError: The store can't be read, or none is configured.
        """
        found: list[SeenCount] = []
        with self._archive() as archive:
            for chunk in archive.chunks(Wanted(since_ns=since_ns, stream_id=stream_id)):
                if chunk.start_ns >= until_ns:
                    continue
                with suppress(DamagedChunkError):
                    found += [one for one in unpack_counts(chunk.data) if since_ns <= one.wall_ns < until_ns]
        return found

    def log(self, stream_id: str, part: LogPart) -> None:
        """Takes the next part of a stream's motion log."""
        if self._keeper:
            self._keeper.log(stream_id, part)

    def keep(self, event: Event) -> None:
        """Stores an event."""
        if self._keeper:
            self._keeper.keep(event)

    def check(self) -> None:
        """Reports events that could not be stored."""
        if self._keeper and self._keeper.loss:
            self._lose(self._keeper.loss)

    def _archive(self) -> Archive:
        path = self._sink.config.store_file()
        if path is None:
            raise UserError("no events are stored: store.file is empty")
        return Archive(path)

    def _close(self) -> None:
        if self._keeper:
            self._keeper.close()
            self.check()

    def _lose(self, loss: str) -> None:
        if not self._lost:
            self._sink.event(f"events can't be stored: {loss}")
        if loss != self._lost:
            self._sink.note_loss("store", loss)
        self._lost = loss
