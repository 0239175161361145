"""Folders of evidence on disk: whole or not at all, the oldest goes first."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import msgspec
import pytest

from pipeline.base.event import rfc3339
from pipeline.base.evidence import CLIP, EVENT, OVERLAY_CLIP, SNAPSHOT
from pipeline.events.evidence_shelf import EvidenceError, EvidenceShelf, keep_whole_fragments
from pipeline.view.recorder import Recorder
from tests.view.samples import MS, picture
from tests.view.test_recorder import killed_recording

DAY = 86_400 * 10**9
NOW = 1_790_000_000 * 10**9


@pytest.fixture
def shelf(place: Path) -> Iterator[EvidenceShelf]:
    with EvidenceShelf(place / "evidence", 7, 1) as shelf:
        yield shelf


def number(n: int) -> str:
    return f"{n:016x}"


def put(
    shelf: EvidenceShelf,
    n: int,
    nbytes: int = 100,
    days_ago: float = 0.0,
    state: str = "whole",
    **more: str,
) -> Path:
    partial = shelf.begin(number(n))
    assert partial is not None
    clip = {"state": state, **more}
    about = {"id": number(n), "time": rfc3339(NOW - round(days_ago * DAY)), "clip": clip}
    (partial / EVENT).write_bytes(msgspec.json.encode(about))
    (partial / SNAPSHOT).write_bytes(os.urandom(nbytes))
    folder = shelf.publish(partial)
    if state != "growing":
        shelf.settle(number(n))
    return folder


def names(shelf: EvidenceShelf) -> list[int]:
    return sorted(int(path.name, 16) for path in shelf.root.iterdir() if not path.name.startswith("."))


def test_a_folder_appears_in_one_go_and_only_once(shelf: EvidenceShelf) -> None:
    partial = shelf.begin(number(1))
    assert partial is not None
    (partial / SNAPSHOT).write_bytes(b"picture")
    assert names(shelf) == []
    assert (shelf.publish(partial) / SNAPSHOT).read_bytes() == b"picture"
    assert shelf.begin(number(1)) is None


def test_what_is_too_old_goes_and_what_is_being_written_stays(shelf: EvidenceShelf) -> None:
    for n, days_ago in ((1, 8.0), (2, 6.9), (3, 0.0)):
        put(shelf, n, days_ago=days_ago)
    put(shelf, 4, days_ago=9, state="growing")
    shelf.forget_old(NOW)
    assert names(shelf) == [2, 3, 4]


def test_a_clock_that_is_years_ahead_at_the_start_removes_nothing_that_is_not_old(
    shelf: EvidenceShelf,
) -> None:
    for n, days_ago in ((1, 8.0), (2, 6.9), (3, 0.0)):
        put(shelf, n, days_ago=days_ago)
    shelf.close()
    ahead = NOW + 5 * 365 * DAY
    with EvidenceShelf(shelf.root, 7, 1) as again:
        again.tidy()
        again.forget_old(ahead)
        assert names(again) == [2, 3]
        put(again, 4, days_ago=-5 * 365)
        again.forget_old(ahead + DAY)
        assert names(again) == [3, 4]


def test_the_oldest_goes_where_there_is_too_much(shelf: EvidenceShelf) -> None:
    for n, days_ago in ((1, 1.0), (2, 3.0), (3, 2.0), (4, 0.0)):
        put(shelf, n, 300_000, days_ago=days_ago)
    shelf.forget_old(NOW)
    assert names(shelf) == [1, 3, 4]


def test_what_a_killed_process_left_is_ended_or_removed(shelf: EvidenceShelf, place: Path) -> None:
    killed_recording(place / "killed.mp4")
    data = (place / "killed.mp4").read_bytes()
    cut = put(shelf, 1, state="growing")
    (cut / CLIP).write_bytes(data)
    (cut / OVERLAY_CLIP).write_bytes(data[:900])  # nothing of it plays
    none = put(shelf, 2, state="growing")
    (none / CLIP).write_bytes(data[:900])
    begun = shelf.begin(number(3))
    assert begun is not None
    (shelf.root / "notes").mkdir()  # not ours
    shelf.close()
    with EvidenceShelf(shelf.root, 7, 1) as again:
        assert again.tidy() == 2
        assert not begun.exists()
        assert sorted(path.name for path in cut.iterdir()) == [CLIP, EVENT, SNAPSHOT]
        assert sorted(path.name for path in none.iterdir()) == [EVENT, SNAPSHOT]
        states = [msgspec.json.decode((one / EVENT).read_bytes())["clip"] for one in (cut, none)]
        assert states == [{"state": name, "why": "the sink was killed"} for name in ("cut", "none")]
        assert again.tidy() == 0
        again.forget_old(NOW)
        again.forget_old(NOW + 8 * DAY)
        assert [path.name for path in again.root.iterdir() if path.is_dir()] == ["notes"]


def test_a_clip_that_a_run_had_no_time_to_end_is_cut_to_what_plays_by_the_next_one(
    shelf: EvidenceShelf, place: Path
) -> None:
    """A clip is only said to be cut where its thread is too slow: it may be in the middle of a fragment."""
    killed = killed_recording(place / "killed.mp4").read_bytes()
    with Recorder(place / "ended.mp4") as recorder:
        for n in range(30):
            recorder.write(picture(64, 48, n), n * 40 * MS)
    ended = (place / "ended.mp4").read_bytes()
    folder = put(shelf, 1, state="cut", why="the run has ended")
    (folder / CLIP).write_bytes(killed + b"\0\0\x40\0moof")
    (folder / OVERLAY_CLIP).write_bytes(ended)
    shelf.close()
    with EvidenceShelf(shelf.root, 7, 1) as again:
        assert again.tidy() == 0
    assert (folder / CLIP).read_bytes() == killed
    assert (folder / OVERLAY_CLIP).read_bytes() == ended, "with its index"
    clip = msgspec.json.decode((folder / EVENT).read_bytes())["clip"]
    assert clip == {"state": "cut", "why": "the run has ended"}


def test_an_end_that_comes_late_is_named_whole_or_not_at_all(shelf: EvidenceShelf) -> None:
    folder = put(shelf, 1)
    before = msgspec.json.decode((folder / EVENT).read_bytes())
    shelf.note_end(number(1), number(2))
    shelf.note_end(number(1), number(3))  # told again
    shelf.note_end(number(9), number(10))  # it has no evidence
    assert msgspec.json.decode((folder / EVENT).read_bytes()) == {**before, "end": number(2)}
    assert sorted(path.name for path in folder.iterdir()) == [EVENT, SNAPSHOT]
    assert names(shelf) == [1]


def test_a_clip_is_cut_after_its_last_whole_fragment(place: Path) -> None:
    clip = killed_recording(place / "clip.mp4")
    whole = clip.read_bytes()
    assert keep_whole_fragments(clip)
    lengths = set()
    for size in range(len(whole) - 1, len(whole) // 2, -len(whole) // 40):
        clip.write_bytes(whole[:size])
        assert keep_whole_fragments(clip)
        with av.open(str(clip)) as container:
            lengths.add(len([*container.decode(video=0)]))
    assert lengths <= {25, 50, 75, 100}
    assert len(lengths) > 1


HOLD = """
import sys
from pathlib import Path
from pipeline.events.evidence_shelf import EvidenceShelf
EvidenceShelf(Path(sys.argv[1]), 1, 1)
"""


def test_only_one_process_holds_the_folder(shelf: EvidenceShelf) -> None:
    other = subprocess.run(
        [sys.executable, "-c", HOLD, str(shelf.root)], capture_output=True, text=True, check=False
    )
    assert "another run stores its evidence there" in other.stderr
    with pytest.raises(EvidenceError, match="can't be written"):
        EvidenceShelf(Path("/proc/evidence"), 1, 1)


def test_a_folder_that_holds_nothing_is_removed(place: Path) -> None:
    with EvidenceShelf(place / "evidence", 7, 1) as shelf:
        pass
    assert not shelf.root.exists()
    with EvidenceShelf(place / "evidence", 7, 1) as shelf:
        put(shelf, 1)
    assert names(shelf) == [1]


def test_a_disk_that_is_nearly_full_costs_the_oldest(small_disk: Path) -> None:
    with EvidenceShelf(small_disk / "evidence", 1e4, 1) as shelf:
        for n in range(4):
            put(shelf, n, 18_000, days_ago=9 - n)
            shelf.make_room()
        assert names(shelf) == [1, 2, 3]
        (small_disk / "filler").write_bytes(bytes(24_000))
        shelf.make_room()
        assert names(shelf) == [2, 3]
