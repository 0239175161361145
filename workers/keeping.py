"""The event store of the sink: opened with it; failures are reported and frames continue."""

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from pipeline.base.errors import UserError
from pipeline.base.event import Event
from pipeline.base.line_file import STDOUT
from pipeline.events.archive import Archive, Wanted
from pipeline.events.event_keeper import Keeper
from pipeline.events.motion_log import DamagedChunkError, LogPart, SeenCount, unpack_counts
from workers.base import Worker

_READ_BACK = 4 << 20  # bytes


class Keeping:
    """Keeps events and the motion log, if that is configured.

    Args:
        sink: Whose; the store is closed with its resources.

    Attributes:
        adopted: Ends of what a sink that was killed has left open.

    Raises:
        UserError: The store can't be opened. A sink that was restarted goes on without.
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
        """What a sink before this one told, by the file of events: the store may not have all of it."""
        path = self._sink.config.sink.events
        if not self._sink.restarts or path in ("", STDOUT):
            return []
        found = []
        with suppress(OSError), Path(path).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _READ_BACK))
            for line in file:
                with suppress(msgspec.DecodeError):  # half of a line
                    found.append(msgspec.json.decode(line, type=Event))
        return found

    def newest(self, since_ns: int | None, kind: str | None, stream_id: str | None, most: int) -> list[Event]:
        """Events that are kept, newest first; any thread may ask.

        Raises:
            UserError: They can't be read, or none are kept.
        """
        with self._archive() as archive:
            return archive.newest(Wanted(since_ns=since_ns, kind=kind, stream_id=stream_id), most)

    def motion(self, stream_id: str, since_ns: int, until_ns: int) -> list[SeenCount]:
        """How many things were seen in the pictures of a stream between two Unix times; any thread may ask.

        Parts of the log that are damaged are left out.

        Raises:
            UserError: The store can't be read, or there is none.
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
        """Takes an event."""
        if self._keeper:
            self._keeper.keep(event)

    def check(self) -> None:
        """Reports what could not be kept, as soon as that is known."""
        if self._keeper and self._keeper.loss:
            self._lose(self._keeper.loss)

    def _archive(self) -> Archive:
        path = self._sink.config.store_file()
        if path is None:
            raise UserError("no events are kept: store.file is empty")
        return Archive(path)

    def _close(self) -> None:
        if self._keeper:
            self._keeper.close()
            self.check()

    def _lose(self, loss: str) -> None:
        if not self._lost:
            self._sink.event(f"events can't be kept: {loss}")
        if loss != self._lost:
            self._sink.note_loss("store", loss)
        self._lost = loss
