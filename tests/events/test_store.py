import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.base.event import unix_ns
from pipeline.events.archive import Archive, Wanted
from pipeline.events.motion_log import unpack
from pipeline.events.store import Store, StoreError
from tests.events.samples import SECOND, chunk, event
from tests.scene.walking import START_NS
from tests.support import files_up_to
from tests.wire.peers import until

DAY = 86_400
ROOT = Path(__file__).parents[2]


def integrity(path: Path) -> str:
    with sqlite3.connect(path) as base:
        (found,) = base.execute("PRAGMA integrity_check").fetchone()
    base.close()
    return str(found)


def test_an_event_that_comes_again_is_kept_once_as_it_was(place: Path) -> None:
    first = event(1)
    again = event(1, id=first.id, thing=7)
    with Store(place / "s", 30, 10) as store:
        store.write([first], [])
        store.write([again, event(2)], [])
        assert store.archive().events() == [first, event(2)]


def test_events_are_found_by_time_stream_kind_and_place(place: Path) -> None:
    events = [
        event(1),
        event(2, stream_id="back"),
        event(3, kind="left"),
        event(4, zone=None, line="gate", kind="crossed"),
    ]
    with Store(place / "s", 30, 10) as store:
        store.write(events[::-1], [])

        def found(**wanted: object) -> list[int]:
            return [events.index(one) for one in store.archive().events(Wanted(**wanted))]  # type: ignore[arg-type]

        assert found() == [0, 1, 2, 3]
        assert found(since_ns=START_NS + 3 * SECOND) == [2, 3]
        assert found(stream_id="back") == [1]
        assert found(kind="left") == [2]
        assert found(place="gate") == [3]
        assert found(place="drive", stream_id="front", kind="entered") == [0]
        assert store.archive().stream_ids() == ["back", "front"]


def test_the_newest_come_first_and_not_more_than_asked_for(place: Path) -> None:
    events = [event(second, stream_id=name) for second in range(5) for name in ("front", "back")]
    with Store(place / "s", 30, 10) as store:
        store.write(events, [])
        archive = store.archive()
        assert archive.newest(Wanted(), 3) == events[:-4:-1]
        assert archive.newest(Wanted(stream_id="back"), 2) == [events[9], events[7]]
        assert archive.newest(Wanted(since_ns=START_NS + 4 * SECOND), 10) == [events[9], events[8]]


def test_an_end_is_shown_with_its_start(place: Path) -> None:
    start = event(1, "start")
    end = event(5, "end", start=start.id)
    with Store(place / "s", 30, 10) as store:
        store.write([start, event(2), event(3, "start")], [])
        store.write([end], [])
        archive = store.archive()
        assert archive.event(start.id) == archive.event(end.id) == [start, end]
        assert archive.open_starts() == [event(3, "start")]
        assert archive.event("nothing") == []


def test_what_is_too_old_goes(place: Path) -> None:
    with Store(place / "s", 2, 10) as store:
        store.write([event(day * DAY) for day in range(5)], [chunk(day * DAY) for day in range(5)])
        store.forget_old(START_NS + 4 * DAY * SECOND)
        assert store.archive().events() == [event(3 * DAY), event(4 * DAY)]
        assert [one.start_ns for one in store.archive().chunks()] == [
            START_NS + day * DAY * SECOND for day in (2, 3, 4)
        ]


def left(path: Path, clock_day: float, runs_days: float = 0.0) -> list[float]:
    """Days of the events that are left, after a process whose clock says so, and that runs for a while."""
    with Store(path, 2, 10) as store:
        store.forget_old(START_NS + round(clock_day * DAY * SECOND))
        store.forget_old(START_NS + round((clock_day + runs_days) * DAY * SECOND))
        return [(unix_ns(one.time) - START_NS) / SECOND / DAY for one in store.archive().events()]


def test_a_clock_that_is_years_ahead_or_behind_at_the_start_removes_nothing_that_is_not_old(
    place: Path,
) -> None:
    with Store(place / "s", 2, 10) as store:
        store.write([event(day * DAY) for day in (0, 1, 2)], [chunk(day * DAY) for day in (0, 1, 2)])
    assert left(place / "s", 10 * 365) == [1, 2], "the first is two days older than the last"
    assert left(place / "s", -10 * 365) == [1, 2]
    assert left(place / "s", 10 * 365, runs_days=1.5) == [2], "it has run for so long"
    with Archive(place / "s") as archive:
        assert len(list(archive.chunks())) == 1


def test_after_a_pause_the_old_goes_once_a_run_has_stored_something(place: Path) -> None:
    with Store(place / "s", 2, 10) as store:
        store.write([event(0)], [])
    with Store(place / "s", 2, 10) as store:
        store.forget_old(START_NS + 60 * DAY * SECOND)
        store.write([event(60 * DAY)], [])
    assert left(place / "s", 61) == [60]


def test_the_oldest_goes_where_the_file_would_be_too_large(place: Path) -> None:
    one = chunk(0)
    with Store(place / "s", 30, 1) as store:
        for hour in range(40):
            more = [
                one._replace(start_ns=START_NS + n, end_ns=START_NS + n + 1, data=bytes(20_000))
                for n in range(hour * 10, hour * 10 + 10)
            ]
            store.write([event(hour / 1e3)], more)
            store.forget_old(START_NS)
            kept = [found.start_ns - START_NS for found in store.archive().chunks()]
            assert kept == list(range(kept[0], hour * 10 + 10))
    assert 0.5 * 2**20 < (place / "s").stat().st_size <= 1.1 * 2**20


def test_only_one_process_writes_and_others_read_meanwhile(place: Path) -> None:
    with Store(place / "s", 30, 10) as store:
        store.write([event(1)], [])
        with pytest.raises(StoreError, match=r"another run stores its events there.*store\.file=FILE"):
            Store(place / "s", 30, 10)
        with Archive(place / "s") as archive:
            assert archive.events() == [event(1)]
            store.write([event(2)], [])
            assert archive.events() == [event(1), event(2)]
    with Store(place / "s", 30, 10) as store:
        assert len(store.archive().events()) == 2


def test_a_killed_process_leaves_whole_batches_and_the_next_one_goes_on(place: Path) -> None:
    path, before = place / "s", 0
    for _ in range(3):
        command = [sys.executable, "-m", "tests.events.samples", str(path)]
        with subprocess.Popen(command, cwd=ROOT) as writer:
            until(lambda least=before + 3: count(path) >= least, "it has written", 60.0)
            writer.kill()
        assert integrity(path) == "ok"
        with Archive(path) as archive:
            events, chunks = archive.events(), list(archive.chunks())
        assert len(events) == 2 * len({one.start_ns for one in chunks})
        assert all(len(unpack(one.data)) == 25 for one in chunks)
        before = len(chunks)
        with Store(path, 1e4, 100.0) as store:  # its lock went with it
            store.write([], [chunk(0, 1.0)])
        before += 1


def count(path: Path) -> int:
    """Chunks in a store that another process makes."""
    with contextlib.suppress(UserError), Archive(path) as archive:
        return len(list(archive.chunks()))
    return 0


def test_a_new_store_that_holds_nothing_leaves_no_file(place: Path) -> None:
    Store(place / "folder" / "s", 30, 10).close()
    assert list((place / "folder").iterdir()) == []
    with Store(place / "s", 30, 10) as store:
        store.write([event(1)], [])
    Store(place / "s", 30, 10).close()
    with Archive(place / "s") as archive:
        assert archive.events() == [event(1)]


def test_a_full_disk_leaves_nothing_half_written(place: Path) -> None:
    path = place / "s"
    written = 0
    with Store(path, 30, 10) as store, files_up_to(1_000_000):
        try:
            for second in range(1000):
                store.write([event(second)], [chunk(second)._replace(data=bytes(5_000))])
                written += 1
        except StoreError as error:
            assert "free some space, or lower store.max_mb" in str(error)  # noqa: PT017
    assert 5 < written < 1000
    assert integrity(path) == "ok"
    with Archive(path) as archive:
        assert archive.events() == [event(second) for second in range(written)]
        assert len(list(archive.chunks())) == written
    with Store(path, 30, 10) as store:  # there is room again
        store.write([event(written)], [])
        assert len(store.archive().events()) == written + 1


def test_files_that_are_no_store_are_refused_in_a_line(place: Path) -> None:
    with pytest.raises(UserError, match="there are no events yet: run `kvq-stream`"):
        Archive(place / "s")
    (place / "text").write_text("words " * 1000)
    other = sqlite3.connect(place / "other")
    other.execute("CREATE TABLE things (name)")
    other.close()
    with Store(place / "newer", 30, 10) as store:
        store.write([event(1)], [])
    newer = sqlite3.connect(place / "newer")
    newer.execute("PRAGMA user_version = 7")
    newer.close()
    for name, reason in (
        ("text", "is not an event store, or is damaged"),
        ("other", "is not an event store, or is damaged"),
        ("newer", "was written by another version"),
    ):
        for open_it in (Archive, lambda path: Store(path, 30, 10)):
            with pytest.raises(UserError, match=f"{name}: {reason}.*move it away"):
                open_it(place / name)
    (place / "file").write_text("")
    with pytest.raises(StoreError, match="can't be written"):
        Store(place / "file" / "s", 30, 10)
