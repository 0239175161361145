"""Reads events and the motion log from a store, even while another process writes to it."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from pipeline.base.closing import Closing
from pipeline.base.errors import UserError
from pipeline.base.event import Event
from pipeline.base.program import PROGRAM

FORMAT = 1
"""Version of the tables."""
APPLICATION = 0x4B565145
"""``application_id`` that identifies the SQLite files of this store."""
PATIENCE_S = 30.0
"""Longest wait for a lock held by another program, such as a backup tool or an SQLite shell."""


class Chunk(NamedTuple):
    """A part of the motion log.

    Attributes:
        stream_id: Its stream.
        start_ns: Unix time of its first entry.
        end_ns: Unix time of its last entry.
        data: Its packed entries, see ``motion_log``.
    """

    stream_id: str
    start_ns: int
    end_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """A filter for events or chunks; an attribute that is None does not restrict the result.

    Attributes:
        since_ns: Earliest Unix time.
        stream_id: The stream.
        kind: The kind of event.
        place: The zone or line.
    """

    since_ns: int | None = None
    stream_id: str | None = None
    kind: str | None = None
    place: str | None = None


class Archive(Closing):
    """The event store, opened for reading while another process may write to it.

    Args:
        path: Path of the file.
        base: An open connection to use; the caller closes it.

    Raises:
        UserError: The file is missing or is not an event store. Each method raises it if the file is damaged.
    """

    def __init__(self, path: Path, base: sqlite3.Connection | None = None) -> None:
        self.path, self._is_mine = path, base is None
        if base is None:
            if not path.is_file():
                raise UserError(
                    f"{path}: there are no events yet: run `{PROGRAM}` first, or set "
                    "the file of another store: --set store.file=FILE"
                )
            try:
                base = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=PATIENCE_S, uri=True)
                check(base)
            except sqlite3.Error as error:
                raise UserError(f"{path}: {reason_of(error)}") from None
        self._base = base

    def events(self, wanted: Wanted = Wanted()) -> list[Event]:
        """The events that match, oldest first."""
        where, values = _where(wanted, "time_ns")
        query = f"SELECT json FROM events{where} ORDER BY time_ns, number"
        return self._found(query, values)

    def newest(self, wanted: Wanted, most: int) -> list[Event]:
        """The events that match, newest first, at most ``most``."""
        where, values = _where(wanted, "time_ns")
        query = f"SELECT json FROM events{where} ORDER BY time_ns DESC, number DESC LIMIT ?"
        return self._found(query, [*values, most])

    def event(self, event_id: str) -> list[Event]:
        """The event with this id and its matching start or end, oldest first; empty if there is none."""
        query = """
            SELECT json FROM events WHERE id = :id OR start = :id
                OR id = (SELECT start FROM events WHERE id = :id) ORDER BY time_ns, number
        """
        return self._found(query, {"id": event_id})

    def open_starts(self) -> list[Event]:
        """Start events without an end, oldest first."""
        query = """
            SELECT json FROM events AS begun WHERE phase = 'start'
                AND NOT EXISTS (SELECT 1 FROM events WHERE start = begun.id) ORDER BY time_ns, number
        """
        return self._found(query, ())

    def chunks(self, wanted: Wanted = Wanted()) -> Iterator[Chunk]:
        """The chunks that match, in the order in which they were written."""
        where, values = _where(wanted, "end_ns")
        query = f"SELECT stream, start_ns, end_ns, data FROM chunks{where} ORDER BY number"
        with self._readable():
            yield from (Chunk(*row) for row in self._base.execute(query, values))

    def chunks_near(self, stream_id: str, time_ns: int, within_ns: int) -> list[Chunk]:
        """The chunks of a stream that overlap the interval of ``within_ns`` before and after ``time_ns``."""
        query = """
            SELECT stream, start_ns, end_ns, data FROM chunks
                WHERE stream = ? AND end_ns >= ? AND start_ns <= ? ORDER BY number
        """
        with self._readable():
            rows = self._base.execute(query, (stream_id, time_ns - within_ns, time_ns + within_ns))
            return [Chunk(*row) for row in rows]

    def known_until_ns(self, stream_id: str) -> int | None:
        """Unix time of the last entry in a stream's motion log; None if there is none."""
        query = "SELECT end_ns FROM chunks WHERE stream = ? ORDER BY number DESC LIMIT 1"
        with self._readable():
            row = self._base.execute(query, (stream_id,)).fetchone()
        return int(row[0]) if row else None

    def stream_ids(self) -> list[str]:
        """All streams with events or a motion log."""
        query = "SELECT stream FROM chunks UNION SELECT stream FROM events ORDER BY stream"
        with self._readable():
            return [name for (name,) in self._base.execute(query)]

    def close(self) -> None:
        """Closes the file, if it was opened here."""
        if self._is_mine:
            self._base.close()

    def _found(self, query: str, values: Sequence[object] | Mapping[str, object]) -> list[Event]:
        with self._readable():
            return [_event(text) for (text,) in self._base.execute(query, values)]

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise UserError(f"{self.path}: {reason_of(error)}") from None


def check(base: sqlite3.Connection) -> None:
    """Checks that the file is an event store of the current version.

    Raises:
        sqlite3.Error: It is not an event store, or it has another version.
    """
    if number(base, "application_id") != APPLICATION:
        raise sqlite3.DatabaseError("file is not a database")
    if (version := number(base, "user_version")) != FORMAT:
        raise sqlite3.DatabaseError(f"format {version}")


def number(base: sqlite3.Connection, pragma: str) -> int:
    """The value of an integer pragma."""
    return int(base.execute(f"PRAGMA {pragma}").fetchone()[0])


def reason_of(error: Exception) -> str:
    """Explains an error and how to fix it."""
    text = str(error)
    if "format" in text:
        return f"was written by another version ({text}; this one is {FORMAT}): move it away"
    if "not a database" in text or "malformed" in text:
        return (
            f"is not an event store, or is damaged ({text}): move it away, or set another file in store.file"
        )
    if "full" in text or "disk I/O" in text:
        return f"can't be written: {text}: free some space, or lower store.max_mb"
    return f"can't be used: {text}"


def _where(wanted: Wanted, time: str) -> tuple[str, list[object]]:
    parts: list[tuple[str, list[object]]] = []
    if wanted.since_ns is not None:
        parts.append((f"{time} >= ?", [wanted.since_ns]))
    if wanted.stream_id is not None:
        parts.append(("stream = ?", [wanted.stream_id]))
    if wanted.kind is not None:
        parts.append(("kind = ?", [wanted.kind]))
    if wanted.place is not None:
        parts.append(("(zone = ? OR line = ?)", [wanted.place, wanted.place]))
    text = " AND ".join(condition for condition, _ in parts)
    return (f" WHERE {text}" if text else ""), [value for _, values in parts for value in values]


def _event(text: str) -> Event:
    return msgspec.json.decode(text, type=Event)
