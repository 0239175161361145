"""Reading a store: while another process writes, and where the file is none, or damaged."""

import sqlite3
from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.events.archive import Archive, Wanted
from pipeline.events.store import Store
from tests.events.samples import SECOND, chunk, event
from tests.scene.walking import START_NS


@pytest.fixture
def file(place: Path) -> Path:
    events = [
        event(1),
        event(2, stream_id="back", kind="crossed", zone=None, line="gate"),
        event(3, "start", id="s"),
        event(9, "start", id="open"),
        event(5, "end", id="e", start="s"),
    ]
    with Store(place / "s", 1e4, 10) as store:
        store.write(events, [chunk(0), chunk(5), chunk(5, stream_id="back")])
    return place / "s"


def ids(file: Path, **wanted: object) -> list[str]:
    with Archive(file) as archive:
        return [one.id for one in archive.events(Wanted(**wanted))]  # type: ignore[arg-type]


def test_events_are_chosen_by_time_stream_kind_and_place(file: Path) -> None:
    one, two = event(1).id, event(2, stream_id="back", kind="crossed", zone=None, line="gate").id
    assert ids(file) == [one, two, "s", "e", "open"]
    assert ids(file, since_ns=START_NS + 3 * SECOND) == ["s", "e", "open"]
    assert ids(file, stream_id="back") == [two]
    assert ids(file, kind="crossed") == [two]
    assert ids(file, place="gate") == [two]
    assert ids(file, place="drive", kind="moving") == ["s", "e", "open"]
    assert ids(file, stream_id="' OR 1 --") == []


def test_the_newest_come_first_and_no_more_than_asked_for(file: Path) -> None:
    with Archive(file) as archive:
        assert [one.id for one in archive.newest(Wanted(), 2)] == ["open", "e"]


def test_what_is_open_and_what_is_known_of_a_stream(file: Path) -> None:
    with Archive(file) as archive:
        assert [one.id for one in archive.open_starts()] == ["open"]
        assert archive.stream_ids() == ["back", "front"]
        assert archive.known_until_ns("front") == chunk(5).end_ns
        assert archive.known_until_ns("side") is None


def test_chunks_come_in_the_order_in_which_they_were_written(file: Path) -> None:
    with Archive(file) as archive:
        assert [(one.stream_id, one.start_ns) for one in archive.chunks()] == [
            ("front", chunk(0).start_ns),
            ("front", chunk(5).start_ns),
            ("back", chunk(5).start_ns),
        ]
        assert len(list(archive.chunks(Wanted(since_ns=chunk(0).end_ns + 1)))) == 2
        near = archive.chunks_near("front", START_NS + 6 * SECOND, SECOND // 2)
        assert [one.start_ns for one in near] == [chunk(5).start_ns]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "there are no events yet"),
        (b"no base at all, but long enough" * 40, "is not an event store, or is damaged"),
    ],
)
def test_a_file_that_is_none_is_named(place: Path, content: bytes | None, reason: str) -> None:
    if content is not None:
        (place / "s").write_bytes(content)
    with pytest.raises(UserError, match=reason):
        Archive(place / "s")


def test_another_kind_of_base_and_another_version_are_named(place: Path, file: Path) -> None:
    other = sqlite3.connect(place / "other")
    other.execute("CREATE TABLE events (id)")
    other.close()
    with pytest.raises(UserError, match="is not an event store"):
        Archive(place / "other")
    base = sqlite3.connect(file)
    base.execute("PRAGMA user_version = 99")
    base.close()
    with pytest.raises(UserError, match=r"another version \(format 99; this one is 1\)"):
        Archive(file)


def test_a_reader_can_not_write(file: Path) -> None:
    with Archive(file) as archive, pytest.raises(sqlite3.OperationalError, match="readonly"):
        archive._base.execute("DELETE FROM events")
