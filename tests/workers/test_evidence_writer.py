"""The thread that makes evidence, with real pictures, clips and disks."""

import contextlib
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import msgspec
import numpy as np
import pytest

from pipeline.base.config import EvidenceConfig, load_config
from pipeline.base.evidence import CLIP, EVENT, FILES, MATCHES, OVERLAY, OVERLAY_CLIP, SNAPSHOT
from pipeline.events.evidence_shelf import EvidenceShelf
from tests.workers.evidence_samples import brightness, event, shown, wall_ns
from tests.workers.program import until
from workers.evidence_writer import MOST_CASES, MOST_CLIPS, EvidenceWriter

Make = Callable[..., EvidenceWriter]
PATIENT = {"patience_s": 3600.0, "silence_s": 3600.0}
"""However slow the machine is."""


def settings(**changes: Any) -> EvidenceConfig:
    evidence: EvidenceConfig = msgspec.structs.replace(load_config().evidence, keep_days=36_500.0, **changes)
    return evidence


@pytest.fixture
def make(place: Path) -> Iterator[Make]:
    made: list[EvidenceWriter] = []

    def make(root: Path = place / "evidence", **changes: Any) -> EvidenceWriter:
        wanted = settings(**changes)
        made.append(EvidenceWriter(EvidenceShelf(root, wanted.keep_days, wanted.max_mb), wanted, **PATIENT))
        return made[-1]

    yield make
    for writer in made:
        writer.close()
        writer._thread.join(60.0)  # on a slow machine it works on for a moment


def feed(writer: EvidenceWriter, seqs: range, **changes: Any) -> None:
    """Shows frames, each once the one before was taken."""
    for seq in seqs:
        writer.see(*shown(seq, **changes))
        until(lambda: writer.waiting == 0, "the frame is taken", 30.0)


def about(folder: Path) -> dict[str, Any]:
    return msgspec.json.decode((folder / EVENT).read_bytes(), type=dict[str, Any])


def frames_of(clip: Path) -> list[tuple[float, int]]:
    """Seconds and number of each frame."""
    with av.open(str(clip)) as container:
        return [
            (float(one.time), brightness(one.to_ndarray(format="bgr24")))
            for one in container.decode(video=0)
            if one.time is not None
        ]


def is_whole(folder: Path) -> bool:
    return folder.exists() and about(folder)["clip"]["state"] == "whole"


def test_an_event_has_its_pictures_and_clips_from_before_until_after(make: Make, place: Path) -> None:
    writer, folder = make(before_s=1.0, after_s=2.0), place / "evidence" / f"{1:016x}"
    feed(writer, range(20))
    writer.tell(event(17), wall_ns(20))
    feed(writer, range(20, 45))
    until(lambda: is_whole(folder), "the clips are complete", 60.0)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    clip = about(folder)["clip"]
    assert clip == {"state": "whole", "before_s": 1.0, "after_s": 2.0, "pictures": 31, "missed": 0}
    for name in (CLIP, OVERLAY_CLIP):
        played = frames_of(folder / name)
        assert [round(second, 3) for second, _ in played] == [round(n / 10, 3) for n in range(31)], name
    numbers = np.array([number for _, number in frames_of(folder / CLIP)])
    assert np.abs(numbers - np.arange(7, 38)).max() <= 2
    snapshot, overlay, why = (cv2.imread(str(folder / name)) for name in (SNAPSHOT, OVERLAY, MATCHES))
    assert snapshot is not None
    assert overlay is not None
    assert why is not None
    assert abs(brightness(snapshot) - 20) <= 2  # where it was clear
    assert overlay.shape == snapshot.shape
    assert (np.abs(overlay.astype(int) - snapshot).max(axis=2) > 60).sum() > 500
    assert why.shape[1] == 1440
    writer.close()
    assert (writer.written, writer.lost, writer.missed, writer.loss) == (1, 0, 0, "")


def test_what_lasts_goes_on_until_after_its_end_and_names_it(make: Make, place: Path) -> None:
    writer, folder = make(before_s=0.5, after_s=1.0), place / "evidence" / f"{1:016x}"
    feed(writer, range(10))
    writer.tell(event(8, "start"), wall_ns(9))
    feed(writer, range(10, 40))
    writer.tell(event(35, "end", number=2, start=f"{1:016x}"), wall_ns(39))
    feed(writer, range(40, 60))
    until(lambda: is_whole(folder), "the clips are complete", 60.0)
    assert about(folder)["end"] == f"{2:016x}"
    assert about(folder)["clip"]["after_s"] == pytest.approx(2.7 + 1.0)


def test_what_lasts_too_long_is_shown_for_so_long(make: Make, place: Path) -> None:
    writer, folder = make(before_s=0.5, after_s=1.0, most_s=1.5), place / "evidence" / f"{1:016x}"
    feed(writer, range(10))
    writer.tell(event(8, "start"), wall_ns(9))
    feed(writer, range(10, 40))
    until(lambda: is_whole(folder), "the clips are complete", 60.0)
    assert about(folder)["clip"]["after_s"] == 1.5


def test_the_end_of_what_lasted_longer_than_its_clip_is_named_too(make: Make, place: Path) -> None:
    writer, folder = make(before_s=0.5, after_s=0.2, most_s=0.5), place / "evidence" / f"{1:016x}"
    feed(writer, range(10))
    writer.tell(event(8, "start"), wall_ns(9))
    feed(writer, range(10, 20))
    until(lambda: writer.written == 1, "the clips are complete", 60.0)
    clip = about(folder)["clip"]
    writer.tell(event(30, "end", number=2, start=f"{1:016x}"), wall_ns(30))
    until(lambda: "end" in about(folder), "the end is named", 60.0)
    assert (about(folder)["end"], about(folder)["clip"]) == (f"{2:016x}", clip)
    assert len(frames_of(folder / CLIP)) == clip["pictures"]


def test_a_clip_plays_before_it_is_complete(make: Make, place: Path) -> None:
    writer, folder = make(before_s=2.0), place / "evidence" / f"{1:016x}"
    feed(writer, range(30))
    writer.tell(event(28, "start"), wall_ns(29))
    until(folder.exists, "the folder is there", 60.0)
    assert about(folder)["clip"]["state"] == "growing"
    (place / "copy.mp4").write_bytes((folder / CLIP).read_bytes())
    assert len(frames_of(place / "copy.mp4")) >= 10
    writer.close()
    assert about(folder)["clip"] == {
        "state": "cut", "why": "the run has ended",
        "before_s": 2.0, "after_s": 0.1, "pictures": 22, "missed": 0,
    }  # fmt: skip
    assert len(frames_of(folder / CLIP)) == 22


def test_events_at_once_each_have_their_own_and_too_many_have_no_clip(make: Make, place: Path) -> None:
    writer = make(before_s=0.5, after_s=0.5)
    feed(writer, range(10))
    for number in range(MOST_CLIPS + 2):
        writer.tell(event(8, number=number), wall_ns(9))
    feed(writer, range(10, 16))
    until(lambda: writer.written == MOST_CLIPS + 2, "all are written", 60.0)
    states = [about(place / "evidence" / f"{number:016x}")["clip"] for number in range(MOST_CLIPS + 2)]
    assert [state["state"] for state in states] == ["whole"] * MOST_CLIPS + ["none"] * 2
    assert states[-1]["why"] == "8 clips were already being written"
    assert (writer.without_clip, writer.without_any) == (2, 0)
    left = {path.name for path in (place / "evidence" / f"{MOST_CLIPS:016x}").iterdir()}
    assert left == {SNAPSHOT, OVERLAY, MATCHES, EVENT}


def test_memory_is_given_back_once_no_clip_needs_it(make: Make) -> None:
    writer = make(before_s=0.5, after_s=0.5)
    feed(writer, range(70))
    before = writer._ring.nbytes
    writer.tell(event(68), wall_ns(69))
    feed(writer, range(70, 80))
    until(lambda: writer.written == 1, "the clips are complete", 60.0)
    feed(writer, range(80, 180))
    assert writer._ring.nbytes < 1.3 * before


def test_a_flood_of_events_is_bounded(make: Make) -> None:
    writer = make()
    feed(writer, range(3))
    for number in range(MOST_CASES + 5):
        writer.tell(event(2, number=number), wall_ns(1000))
    until(lambda: writer.without_any == 5, "the last ones are left out", 30.0)


def test_a_fault_of_the_picture_shows_what_was_seen_before(make: Make, place: Path) -> None:
    writer, folder = make(before_s=1.0, after_s=0.5), place / "evidence" / f"{1:016x}"
    feed(writer, range(20))
    feed(writer, range(20, 40), prediction=None, trouble="camera covered for 2 s")
    writer.tell(event(20, "start", kind="covered", thing=None, zone=None), wall_ns(39))  # 1.9 s before
    until(folder.exists, "the folder is there", 60.0)
    snapshot = cv2.imread(str(folder / SNAPSHOT))
    assert snapshot is not None
    assert abs(brightness(snapshot) - 15) <= 2
    assert not (folder / MATCHES).exists()


def test_a_fault_is_found_on_the_timeline_of_a_film_that_plays_slowly(make: Make, place: Path) -> None:
    writer, folder = make(before_s=1.0, after_s=0.5), place / "evidence" / f"{1:016x}"
    for seq in range(40):  # twenty a second, of which ten are played
        image, one = shown(seq, **({"prediction": None} if seq >= 30 else {}))
        frame = replace(one.frame, policy="every", pts_ns=seq * 50_000_000)
        writer.see(image, replace(one, frame=frame))
    dated = event(29, "start", kind="covered", thing=None, zone=None)  # a second before frame 39, which is 19
    writer.tell(dated, wall_ns(39))
    until(folder.exists, "the folder is there", 60.0)
    snapshot = cv2.imread(str(folder / SNAPSHOT))
    assert snapshot is not None
    assert abs(brightness(snapshot) - 9) <= 2


def test_where_memory_is_too_small_for_the_beginning_that_is_said(make: Make, place: Path) -> None:
    writer, folder = make(before_s=1.0, after_s=1.0, memory_mb=1.0), place / "evidence" / f"{1:016x}"
    writer.reach_back(20.0)
    feed(writer, range(200))
    first = writer._ring.first_since("door", 0)
    assert first is not None
    writer.tell(event(20, "start", kind="stopped"), wall_ns(199))
    until(folder.exists, "the folder is there", 60.0)
    writer.close()
    clip = about(folder)["clip"]
    late_s = (first.wall_ns - wall_ns(20)) / 1e9
    assert late_s > 1.0
    assert (clip["before_s"], clip["missing_s"]) == (pytest.approx(-late_s), pytest.approx(1.0 + late_s))


def test_where_memory_is_too_small_for_all_of_the_clip_that_is_said(make: Make, place: Path) -> None:
    writer = make(before_s=1.0, after_s=1.0, memory_mb=1.0)
    feed(writer, range(200))
    writer.tell(event(20), wall_ns(199))
    until(lambda: writer.written == 1, "it is written", 60.0)
    clip = about(place / "evidence" / f"{1:016x}")["clip"]
    assert clip["state"] == "none"
    assert "evidence.memory_mb is too small" in clip["why"]


@pytest.mark.parametrize("told_with", [29, 28])
def test_a_clip_ends_with_the_pass_of_a_source_that_begins_anew(
    make: Make, place: Path, told_with: int
) -> None:
    writer, folder = make(before_s=1.0, after_s=2.0), place / "evidence" / f"{1:016x}"
    for seq in range(60):  # a film of 30 pictures, twice
        image, one = shown(seq)
        if seq == told_with:
            writer.tell(event(28), wall_ns(told_with))
        frame = replace(one.frame, policy="every", pts_ns=seq % 30 * 100_000_000)
        writer.see(image, replace(one, frame=frame))
    until(lambda: writer.written == 1, "it is written", 60.0)
    assert about(folder)["clip"] == {
        "state": "cut", "why": "the source restarted",
        "before_s": 1.0, "after_s": 0.1, "pictures": 12, "missed": 0,
    }  # fmt: skip
    assert max(number for _, number in frames_of(folder / CLIP)) <= 29 + 2
    snapshot = cv2.imread(str(folder / SNAPSHOT))
    assert snapshot is not None
    assert abs(brightness(snapshot) - told_with) <= 2


def test_the_picture_where_it_was_clear_has_the_size_of_the_stream(make: Make, place: Path) -> None:
    writer, folder = make(before_s=0.2, after_s=0.2), place / "evidence" / f"{1:016x}"
    feed(writer, range(5), width=1920)
    writer.tell(event(4), wall_ns(5))
    feed(writer, range(5, 10), width=1920)
    until(lambda: is_whole(folder), "the clips are complete", 60.0)
    sizes = [
        image.shape[1]
        for name in (SNAPSHOT, OVERLAY)
        if (image := cv2.imread(str(folder / name))) is not None
    ]
    assert sizes == [1920, 1280]


def test_a_camera_that_changes_its_size_goes_on_in_the_same_clip(make: Make, place: Path) -> None:
    writer, folder = make(before_s=1.0, after_s=1.0), place / "evidence" / f"{1:016x}"
    feed(writer, range(10))
    writer.tell(event(8), wall_ns(9))
    feed(writer, range(10, 25), width=480)
    until(lambda: is_whole(folder), "the clips are complete", 60.0)
    assert len(frames_of(folder / CLIP)) == 19
    assert len([*folder.glob("*.mp4")]) == 2


def test_a_full_disk_costs_the_oldest_then_evidence_and_leaves_nothing_half_written(
    make: Make, small_disk: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,size=600k", str(small_disk)], check=True)
    root = small_disk / "evidence"
    writer = make(root, before_s=0.3, after_s=0.3)
    for number in range(8):
        feed(writer, range(20 * number, 20 * number + 10), width=96)
        writer.tell(event(20 * number + 8, number=number), wall_ns(20 * number + 9))
        feed(writer, range(20 * number + 10, 20 * number + 20), width=96)
        until(lambda: writer.written + writer.lost == number + 1, "it is written or lost", 60.0)  # noqa: B023
    left = sorted(int(path.name, 16) for path in root.iterdir() if not path.name.startswith("."))
    assert left, writer.loss
    assert left == list(range(left[0], 8)), "the newest"
    assert left[0] > 0
    for number in left:
        assert len(frames_of(root / f"{number:016x}" / CLIP)) == 7
    for folder in [*root.iterdir()]:  # now there is nothing to give way, and no room
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(1024))
    feed(writer, range(100, 110), width=96)
    writer.tell(event(108, number=99), wall_ns(109))
    feed(writer, range(110, 120), width=96)
    until(lambda: writer.loss != "", "evidence is lost", 60.0)
    assert "can't be written: no space left on device" in writer.loss.lower()
    writer.close()
    assert [path.name for path in small_disk.iterdir()] == ["filler"], "nothing half-written"


def test_a_clip_ends_where_no_more_pictures_come(place: Path) -> None:
    wanted, folder = settings(before_s=0.5, after_s=0.2), place / "evidence" / f"{1:016x}"
    shelf = EvidenceShelf(place / "evidence", wanted.keep_days, wanted.max_mb)
    with EvidenceWriter(shelf, wanted, silence_s=0.2) as writer:
        feed(writer, range(5))
        writer.tell(event(4, "start"), wall_ns(4))
        until(lambda: writer.written == 1, "the clip ends", 60.0)
    clip = about(folder)["clip"]
    assert (clip["state"], clip["why"]) == ("cut", "no more frames arrived")


def test_an_event_whose_picture_does_not_come_is_shown_by_the_last_one(place: Path) -> None:
    wanted, folder = settings(before_s=0.5), place / "evidence" / f"{1:016x}"
    shelf = EvidenceShelf(place / "evidence", wanted.keep_days, wanted.max_mb)
    with EvidenceWriter(shelf, wanted, patience_s=0.2, silence_s=0.2) as writer:
        feed(writer, range(5))
        writer.tell(event(4, "start"), wall_ns(9))
        until(folder.exists, "the folder is there", 60.0)
    assert (folder / SNAPSHOT).exists()


def test_a_thing_whose_past_is_not_known_costs_its_matches_only(make: Make, place: Path) -> None:
    writer, folder = make(before_s=0.5, after_s=0.2), place / "evidence" / f"{1:016x}"
    for seq in range(12):
        image, one = shown(seq)
        assert one.prediction is not None
        writer.see(image, replace(one, prediction=msgspec.structs.replace(one.prediction, past=[])))
        if seq == 5:
            writer.tell(event(5), wall_ns(5))
    until(lambda: is_whole(folder), "the clips are complete", 60.0)
    assert sorted(path.name for path in folder.iterdir()) == sorted({*FILES} - {MATCHES})
    writer.close()
    assert (writer.written, writer.lost, writer.loss) == (1, 0, "")


def test_a_defect_costs_one_event_and_is_said(make: Make, place: Path) -> None:
    writer, folder = make(before_s=0.5, after_s=0.2), place / "evidence" / f"{2:016x}"
    image, one = shown(0)
    writer.see(image, replace(one, fps="fast"))  # type: ignore[arg-type]
    writer.tell(event(0), wall_ns(0))
    until(lambda: writer.loss != "", "it is lost", 60.0)
    assert "evidence of 1 events can't be written: please report this bug: " in writer.loss
    writer.see(image[0], one)  # no picture at all
    feed(writer, range(100, 106))
    writer.tell(event(105, number=2), wall_ns(105))
    feed(writer, range(106, 110))
    until(lambda: is_whole(folder), "the next one has its own", 60.0)
    until(lambda: writer.written == 1, "it is counted", 60.0)
    assert writer.lost == 1


class SlowShelf(EvidenceShelf):
    """Once told to, it takes until it is released: it works, or waits as for a disk."""

    def __init__(self, root: Path, *, works: bool) -> None:
        super().__init__(root, 36_500, 100)
        self.works, self.is_slow, self.is_released = works, False, threading.Event()

    def make_room(self, nbytes: int = 0) -> None:
        while self.is_slow and not self.is_released.is_set():
            sum(range(1000)) if self.works else self.is_released.wait()
        super().make_room(nbytes)


@pytest.mark.parametrize("works", [True, False])
def test_a_clip_for_which_there_is_no_time_is_cut_and_only_a_disk_that_hangs_is_a_loss(
    place: Path, works: bool
) -> None:
    shelf, folder = SlowShelf(place / "evidence", works=works), place / "evidence" / f"{1:016x}"
    writer = EvidenceWriter(shelf, settings(before_s=2.0), **PATIENT)
    try:
        feed(writer, range(30))
        writer.tell(event(28, "start"), wall_ns(29))
        until(folder.exists, "the folder is there", 60.0)
        shelf.is_slow = True
        writer.see(*shown(30))
        writer.close()
        clip, loss = about(folder)["clip"], writer.loss
    finally:
        shelf.is_released.set()
    if works:
        assert (clip["state"], clip["why"], loss) == ("cut", "the run has ended", "")
        assert (writer.written, writer.without_any) == (1, 0)
        assert len(frames_of(folder / CLIP)) >= 10
    else:
        assert "the disk does not respond" in loss
    writer._thread.join(60.0)


def test_pictures_that_find_no_room_are_left_out_and_counted(make: Make) -> None:
    writer = make(memory_mb=2.0)
    for seq in range(200):
        writer.see(*shown(seq, width=640))
        assert writer.waiting <= 2 * 2**20 * 0.25 or writer.waiting == 640 * 480 * 3
    assert writer.missed > 0
