"""The outbox on real files and disks, across processes that are killed."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.events.outbox import Outbox, OutboxError
from pipeline.events.sender import Message
from tests.support import fill_disk
from tests.workers.program import until

ROOT = Path(__file__).parents[2]
WAIT_S = 20.0


def outbox(path: Path, said: list[str] | None = None, **most: int) -> Outbox:
    return Outbox(path, most or {"a": 100, "b": 100}, (said if said is not None else []).append)


def drained(box: Outbox, outlet: str) -> list[str]:
    ids = []
    while (message := box.first(outlet)) is not None:
        ids.append(message.id)
        assert box.remove(message)
    return ids


def test_each_outlet_has_its_own_order(tmp_path: Path) -> None:
    with outbox(tmp_path / "box") as box:
        for n in range(4):
            box.add("ab"[n % 2], str(n), b"{}")
        assert (box.waiting("a"), box.waiting("b")) == (2, 2)
        assert drained(box, "b") == ["1", "3"]
        assert drained(box, "a") == ["0", "2"]


def test_what_waits_is_there_at_the_next_start_and_what_was_sent_is_not(tmp_path: Path) -> None:
    path = tmp_path / "new" / "box"
    with outbox(path) as box:
        for n in range(5):
            box.add("a", str(n), f"body {n}".encode())
        box.add("b", "other", b"{}")
        for _ in range(2):
            sent = box.first("a")
            assert sent is not None
            box.remove(sent)
    with outbox(path) as box:
        first = box.first("a")
        assert first is not None
        assert (first.id, first.body) == ("2", b"body 2")
        box.add("a", "new", b"{}")
        assert drained(box, "a") == ["2", "3", "4", "new"]
    with outbox(path, a=100) as box:
        assert box.waiting("a") == 0
    with outbox(path) as box:  # an outlet that was not configured for a while
        assert drained(box, "b") == ["other"]


def test_full_means_that_the_oldest_goes_counted_and_said_once(tmp_path: Path) -> None:
    said: list[str] = []
    with outbox(tmp_path / "box", said, a=3) as box:
        under_way = None
        for n in range(3):
            box.add("a", str(n), b"{}")
            under_way = under_way or box.first("a")
        assert said == []
        for n in range(3, 6):
            box.add("a", str(n), b"{}")
        assert isinstance(under_way, Message)
        assert not box.remove(under_way)
        assert box.overflowed("a") == 3
        assert said == ["outlet a: 3 events are waiting; the oldest are dropped"]
        assert drained(box, "a") == ["3", "4", "5"]
        for n in range(4):
            box.add("a", str(n), b"{}")
        assert len(said) == 2
    with outbox(tmp_path / "box", a=3) as box:
        assert drained(box, "a") == ["1", "2", "3"]


ADD = """
import sys
from pipeline.events.outbox import Outbox
with Outbox(sys.argv[1], {"a": 1000}, print) as box:
    for n in range(1000):
        box.add("a", str(n), b"{}")
        if n == 500:
            first = box.first("a")
            box.remove(first)
        if not n % 10:
            while box.unsaved("a"):
                pass
            print(n, flush=True)
    sys.stdin.read()
"""


def test_a_killed_process_loses_nothing_that_was_on_disk(tmp_path: Path) -> None:
    """Killed at some moment while it writes: what is there is a whole beginning, in order."""
    path = tmp_path / "box"
    command = [sys.executable, "-c", ADD, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        saved = 0
        while saved < 600:
            saved = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
    with outbox(path, a=1000) as box:
        ids = drained(box, "a")
    assert ids == [str(n) for n in range(1, len(ids) + 1)]
    assert len(ids) >= saved


def test_another_process_has_it_until_it_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "box"
    command = [sys.executable, "-c", ADD, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(OutboxError, match="another run uses it: give this run its own file"):
            outbox(path)
        process.kill()
    outbox(path).close()


def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path) -> None:
    text, table = tmp_path / "text", tmp_path / "table"
    text.write_text("a letter to my aunt " * 100)
    with sqlite3.connect(table) as database:
        database.execute("CREATE TABLE messages (aunt TEXT)")
    database.close()
    for path in (text, table):
        with pytest.raises(OutboxError, match="is not an outbox: move it away"):
            outbox(path)
    assert text.read_text().startswith("a letter")
    with pytest.raises(OutboxError, match="can't be written"):
        outbox(text / "below a file")


def test_on_a_full_disk_events_wait_in_memory_and_are_saved_once_there_is_room(small_disk: Path) -> None:
    said: list[str] = []
    path = small_disk / "box"
    with outbox(path, said) as box:
        box.add("a", "first", b"{}")
        until(lambda: not box.unsaved("a"), "the first message is on disk", WAIT_S)
        filler = fill_disk(small_disk)
        box.add("a", "second", b"x" * 50_000)
        box.add("a", "third", b"{}")
        until(lambda: said, "the full disk is reported", WAIT_S)
        assert said == [
            f"{path}: can't be written: database or disk is full; "
            "events wait in memory until it can be written again"
        ]
        assert drained(box, "a") == ["first", "second", "third"]
        box.add("a", "fourth", b"{}")
        filler.unlink()
        until(lambda: not box.unsaved("a"), "the rest is on disk", WAIT_S)
        assert said[1:] == [f"{path}: can be written again"]
    with outbox(path) as box:
        assert drained(box, "a") == ["fourth"]


FILL_AND_DIE = """
import os, signal, sys
from pathlib import Path
from pipeline.events.outbox import Outbox
from tests.support import fill_disk
box = Outbox(sys.argv[1], {"a": 100}, print)
for n in range(5):
    box.add("a", str(n), b"x" * 200)
while box.unsaved("a"):
    pass
fill_disk(Path(sys.argv[1]).parent)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_read_though_the_disk_is_full(small_disk: Path) -> None:
    path = small_disk / "box"
    died = subprocess.run([sys.executable, "-c", FILL_AND_DIE, str(path)], cwd=ROOT, check=False)
    assert died.returncode == -signal.SIGKILL
    for _ in range(2):
        with outbox(path, a=100) as box:
            box.add("a", "new", b"{}")
            assert box.waiting("a") == 6
