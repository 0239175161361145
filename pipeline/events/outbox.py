"""Messages queued for their outlets: in memory while running, on disk across restarts.

Sending uses the queues in memory, so a full or slow disk does not delay messages. A thread writes each change
to the file within milliseconds.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.base.clock import now_ns
from pipeline.base.closing import Closing
from pipeline.base.errors import OutputError
from pipeline.events.sender import Message

_RETRY_S = 2.0
_COLUMNS = "number, outlet, id, body, time_ns"
_TABLE = """CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY,
    outlet TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, time_ns INTEGER NOT NULL
)"""


class OutboxError(OutputError):
    """The file cannot be opened."""


class Outbox(Closing):
    """A bounded queue for each outlet; thread-safe, and no call waits for the disk.

    Args:
        path: The file; its folder is created. Used by one process at a time.
        most: Maximum queue length of each outlet; beyond it the oldest messages are dropped.
        say: Receives status messages, one line each.

    Raises:
        OutboxError: The file cannot be written, is not an outbox, or is in use by another process.
    """

    def __init__(self, path: str | Path, most: Mapping[str, int], say: Callable[[str], None]) -> None:
        self._path, self._most, self._say = Path(path), most, say
        self._changed = threading.Condition()
        self._queues: dict[str, deque[Message]] = {outlet: deque() for outlet in most}
        self._unsaved: dict[int, Message | None] = {}
        """Changes not yet on disk, by number: a new message, or None for a removed one."""
        self._being_saved: dict[int, Message | None] = {}
        self._overflowed = dict.fromkeys(most, 0)
        self._full: set[str] = set()
        self._is_failing = self._closed = False
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._database = _open(self._path)
        except (sqlite3.Error, OSError) as error:
            raise OutboxError(f"{self._path}: {_why(error)}") from None
        try:
            self._load()
        except sqlite3.Error as error:
            self._database.close()
            raise OutboxError(f"{self._path}: {_why(error)}") from None
        self._writer = threading.Thread(target=self._write_changes, name="outbox", daemon=True)
        self._writer.start()

    def add(self, outlet: str, message_id: str, body: bytes) -> None:
        """Appends a message to an outlet's queue."""
        with self._changed:
            queue = self._queues[outlet]
            self._number += 1
            message = Message(self._number, outlet, message_id, body, now_ns())
            queue.append(message)
            self._unsaved[message.number] = message
            if len(queue) > self._most[outlet]:
                self._forget(queue.popleft())
                self._overflowed[outlet] += 1
                if outlet not in self._full:
                    self._full.add(outlet)
                    self._say(
                        f"outlet {outlet}: {self._most[outlet]} events are waiting; the oldest are dropped"
                    )
            self._changed.notify_all()

    def first(self, outlet: str) -> Message | None:
        """The oldest message of an outlet; stays queued until it is removed."""
        with self._changed:
            queue = self._queues[outlet]
            return queue[0] if queue else None

    def remove(self, message: Message) -> bool:
        """Removes the first message of its outlet; False if it was dropped in the meantime."""
        with self._changed:
            queue = self._queues[message.outlet]
            if not queue or queue[0].number != message.number:
                return False
            self._forget(queue.popleft())
            if not queue:
                self._full.discard(message.outlet)
            self._changed.notify_all()
            return True

    def waiting(self, outlet: str) -> int:
        """Number of queued messages."""
        with self._changed:
            return len(self._queues[outlet])

    def overflowed(self, outlet: str) -> int:
        """Number of messages dropped in favour of newer ones."""
        with self._changed:
            return self._overflowed[outlet]

    def unsaved(self, outlet: str) -> int:
        """Number of queued messages that are not on disk yet."""
        with self._changed:
            changes = self._being_saved | self._unsaved
            return sum(one.outlet == outlet for one in changes.values() if one is not None)

    def wait(self, seconds: float, ready: Callable[[], bool]) -> None:
        """Waits until a condition holds or the time is up; checked after each change and each ``wake``."""
        with self._changed:
            self._changed.wait_for(ready, seconds)

    def wake(self) -> None:
        """Makes waiting threads check their condition."""
        with self._changed:
            self._changed.notify_all()

    def close(self, timeout_s: float = 2.0) -> None:
        """Writes remaining changes and closes the file; may be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._writer.join(timeout_s)

    def _forget(self, message: Message) -> None:
        if self._unsaved.get(message.number) is not None:
            del self._unsaved[message.number]  # it was never on disk
        else:
            self._unsaved[message.number] = None

    def _load(self) -> None:
        rows = self._database.execute(f"SELECT {_COLUMNS} FROM messages ORDER BY number")
        self._number = 0
        for number, outlet, message_id, body, time_ns in rows:
            self._number = number
            if outlet in self._queues:
                self._queues[outlet].append(Message(number, outlet, message_id, bytes(body), time_ns))

    # -- the writer's thread -----------------------------------------------------------------------

    def _write_changes(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._unsaved)
                changes = self._being_saved = self._unsaved
                self._unsaved = {}
                is_last = self._closed
            problem = self._write(changes) if changes else None
            with self._changed:
                self._being_saved = {}
                if problem is not None:
                    self._unsaved = changes | self._unsaved
                if problem is not None and not self._is_failing:
                    self._say(f"{self._path}: {problem}; events wait in memory until it can be written again")
                elif problem is None and self._is_failing:
                    self._say(f"{self._path}: can be written again")
                self._is_failing = problem is not None
                if is_last:
                    break
                if problem is not None:
                    self._changed.wait_for(lambda: self._closed, _RETRY_S)
        self._database.close()

    def _write(self, changes: Mapping[int, Message | None]) -> str | None:
        """Writes changes; returns the reason if that fails, otherwise None."""
        try:
            with self._database:
                self._database.executemany(
                    "DELETE FROM messages WHERE number = ?",
                    [(number,) for number, message in changes.items() if message is None],
                )
                self._database.executemany(
                    f"INSERT OR REPLACE INTO messages ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)",
                    [message for message in changes.values() if message is not None],
                )
        except sqlite3.Error as error:
            return _why(error)
        return None


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=0.5, check_same_thread=False)
    try:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        with database:
            database.execute("BEGIN IMMEDIATE")
            database.execute(_TABLE)
    except BaseException:
        database.close()
        raise
    return database


def _why(error: Exception) -> str:
    text = str(getattr(error, "strerror", None) or error).lower()
    if "locked" in text:
        return "another run uses it: give this run its own file with sink.outbox"
    if any(words in text for words in ("not a database", "no such column", "malformed")):
        return "is not an outbox: move it away, or choose another file with sink.outbox"
    return f"can't be written: {text}"
