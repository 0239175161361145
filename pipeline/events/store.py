"""The SQLite store of events and motion log: one writer, any number of readers.

WAL mode: readers see a consistent state and never wait for the writer; committed data survives if the process
is killed.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from pipeline.base.closing import Closing
from pipeline.base.errors import OutputError
from pipeline.base.event import Event, unix_ns
from pipeline.base.held_lock import HeldError, hold
from pipeline.base.present_time import PresentTime
from pipeline.events.archive import APPLICATION, FORMAT, PATIENCE_S, Archive, Chunk, check, number, reason_of

_DAY_NS = 86_400 * 10**9
_CUT_SHARE = 20
"""While the file is too large, its oldest 1/20 is deleted."""
_SCHEMA = f"""
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {FORMAT};
CREATE TABLE events (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, time_ns INTEGER NOT NULL, stream TEXT NOT NULL,
    kind TEXT NOT NULL, zone TEXT, line TEXT, phase TEXT NOT NULL, start TEXT, json TEXT NOT NULL
);
CREATE INDEX events_by_time ON events (time_ns);
CREATE INDEX events_by_stream ON events (stream, time_ns);
CREATE INDEX events_by_kind ON events (kind, time_ns);
CREATE INDEX events_by_zone ON events (zone, time_ns) WHERE zone IS NOT NULL;
CREATE INDEX events_by_line ON events (line, time_ns) WHERE line IS NOT NULL;
CREATE INDEX ends ON events (start) WHERE start IS NOT NULL;
CREATE TABLE chunks (
    number INTEGER PRIMARY KEY, stream TEXT NOT NULL, start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL,
    data BLOB NOT NULL
);
CREATE INDEX chunks_by_end ON chunks (end_ns);
CREATE INDEX chunks_by_stream ON chunks (stream, end_ns);
"""


def lock_of_store(path: Path) -> Path:
    """The lock file of a store."""
    return Path(f"{path}.lock")


class StoreError(OutputError):
    """The store cannot be written, from the start or after a failure."""


class Store(Closing):
    """The event store, opened for reading and writing.

    Args:
        path: Path of the file; it and its folder are created if missing.
        keep_days: Older entries are deleted; see ``forget_old``.
        max_mb: The oldest entries are deleted above this file size, in 2**20 bytes.

    Raises:
        StoreError: It cannot be opened for writing, or another process writes to it.
    """

    def __init__(self, path: Path, keep_days: float, max_mb: float) -> None:
        self.path = path
        self._keep_ns, self._max_bytes = int(keep_days * _DAY_NS), int(max_mb * 2**20)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = hold(lock_of_store(path))
        except HeldError as held:
            raise StoreError(
                f"{path}: another run stores its events there{held.by}: give this run its own file, "
                "--set store.file=FILE"
            ) from None
        except OSError as error:
            raise StoreError(f"{path}: can't be written: {error.strerror}") from None
        self._is_new = not path.exists()
        try:
            self._base = sqlite3.connect(
                path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False
            )
            try:
                _prepare(self._base)
                self._present = PresentTime(self._newest())
            except BaseException:
                self._base.close()
                raise
        except sqlite3.Error as error:
            self._lock.release()
            raise self._failed(error) from None

    def write(
        self, events: Sequence[Event], chunks: Sequence[Chunk], instead_of: Sequence[int] = ()
    ) -> list[int]:
        """Adds events and chunks in one transaction; an event with a known id is ignored.

        Args:
            events: Events to add.
            chunks: Chunks to add.
            instead_of: Numbers of chunks to delete.

        Returns:
            Numbers of the added chunks.

        Raises:
            StoreError: Writing failed, for example because the disk is full.
        """
        try:
            with self._transaction():
                self._base.executemany(
                    "INSERT OR IGNORE INTO events VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_row, events)
                )
                self._base.executemany("DELETE FROM chunks WHERE number = ?", [(one,) for one in instead_of])
                added = "INSERT INTO chunks (stream, start_ns, end_ns, data) VALUES (?, ?, ?, ?)"
                return [self._base.execute(added, chunk).lastrowid or 0 for chunk in chunks]
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def forget_old(self, now_ns: int) -> None:
        """Deletes entries that are too old, and the oldest ones while the file is too large.

        If the clock is years ahead at the start, only entries that are old relative to the rest are deleted;
        see ``PresentTime``.

        Args:
            now_ns: Unix time.

        Raises:
            StoreError: The file cannot be written.
        """
        try:
            self._remove_until(self._present.at(now_ns) - self._keep_ns)
            while self._used_bytes() > self._max_bytes and (oldest := self._oldest_part()) is not None:
                self._remove_until(oldest)
            self._base.executescript("PRAGMA incremental_vacuum")  # ``execute`` would free only one page
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def close(self) -> None:
        """Closes the file and unlocks it for other processes; deletes it if it is new and empty."""
        is_empty = False
        with suppress(sqlite3.Error):  # closed already, or the disk is full
            is_empty = self._is_new and self._oldest_part() is None
            self._base.close()
        if is_empty:
            self.path.unlink(missing_ok=True)
            Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    def archive(self) -> Archive:
        """The same file for reading, on the same connection."""
        return Archive(self.path, self._base)

    def _newest(self) -> int | None:
        """Time of the newest event or chunk; None if the store is empty."""
        queries = ("SELECT MAX(time_ns) FROM events", "SELECT MAX(end_ns) FROM chunks")
        times_ns = [self._base.execute(query).fetchone()[0] for query in queries]
        return max((int(time_ns) for time_ns in times_ns if time_ns is not None), default=None)

    def _remove_until(self, time_ns: int) -> None:
        with self._transaction():
            self._base.execute("DELETE FROM chunks WHERE end_ns <= ?", (time_ns,))
            self._base.execute("DELETE FROM events WHERE time_ns <= ?", (time_ns,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._base.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # a full disk may have caused a rollback already
                self._base.execute("ROLLBACK")
            raise

    def _used_bytes(self) -> int:
        pages, free, size = (
            number(self._base, f"{name}") for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def _oldest_part(self) -> int | None:
        """End time of the part to delete next (see ``_CUT_SHARE``); None if the store is empty."""
        for table, time in (("chunks", "end_ns"), ("events", "time_ns")):
            (rows,) = self._base.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
            if rows:
                wanted = f"SELECT {time} FROM {table} ORDER BY {time} LIMIT 1 OFFSET ?"
                (until_ns,) = self._base.execute(wanted, (rows // _CUT_SHARE,)).fetchone()
                return int(until_ns)
        return None

    def _failed(self, error: sqlite3.Error) -> StoreError:
        return StoreError(f"{self.path}: {reason_of(error)}")


def _prepare(base: sqlite3.Connection) -> None:
    """Creates the tables of a new file; checks an existing one."""
    if not number(base, "page_count"):
        base.execute("PRAGMA page_size = 1024")
        # Must be set before anything is written; allows freed pages to be returned to the disk.
        base.execute("PRAGMA auto_vacuum = INCREMENTAL")
    base.execute("PRAGMA journal_mode = WAL").fetchall()
    base.execute("PRAGMA synchronous = NORMAL")
    base.execute("PRAGMA journal_size_limit = 1048576").fetchall()
    (tables,) = base.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if not tables:
        base.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
    check(base)


def _row(event: Event) -> tuple[object, ...]:
    return (
        event.id,
        unix_ns(event.time),
        event.stream_id,
        event.kind,
        event.zone,
        event.line,
        event.phase,
        event.start,
        msgspec.json.encode(event).decode(),
    )
