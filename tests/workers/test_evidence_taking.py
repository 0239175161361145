"""Evidence of whole runs: also where a sink is killed in the middle of an event, or a disk is full."""

import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any

import av
import cv2
import msgspec
import pytest

from pipeline.base.config import load_config
from pipeline.base.errors import UserError
from pipeline.base.evidence import CLIP, EVENT, FILES, MATCHES, OVERLAY, OVERLAY_CLIP, SNAPSHOT
from pipeline.events.archive import Archive
from pipeline.events.evidence_shelf import EvidenceShelf
from pipeline.events.store import Store
from tests.workers.evidence_samples import event, shown, wall_ns
from tests.workers.pipeline import Pipeline
from tests.workers.program import until
from tests.workers.sinks import sink
from tests.workers.test_keeping import ROAD, SHIPPED, unpaired
from workers.evidence_taking import EvidenceTaking
from workers.evidence_writer import EvidenceWriter

SHORT = ("--set", "evidence.before_s=0.4", "--set", "evidence.after_s=0.4")
KILLS = 10


def about(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / EVENT).read_text())
    return found


def seconds_of(clip: Path) -> float:
    """From the first to the last frame; all of them can be decoded."""
    with av.open(str(clip)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times
    assert times[-1] is not None
    return float(times[-1])


def told_in(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def check_what_is_there(folder: Path) -> str:
    """Whether all that there is can be opened; returns the state of the clips."""
    for name in (SNAPSHOT, OVERLAY):
        assert cv2.imread(str(folder / name)) is not None, name
    clip = about(folder)["clip"]
    for name in (CLIP, OVERLAY_CLIP):
        if clip["state"] == "none":
            assert not (folder / name).exists()
        else:
            seconds_of(folder / name)
    return str(clip["state"])


@pytest.mark.slow
def test_each_event_of_a_run_has_its_evidence_and_says_where(place: Path) -> None:
    with Pipeline(
        place, *SHIPPED, *ROAD, *SHORT, "--frames", "150", "--pace", "--events", "events.jsonl"
    ) as run:
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    assert outcome.stream("demo")["rendered"] == 150
    root = run.folder / "videos" / "evidence"
    told = told_in(run.folder / "events.jsonl")
    starts = {one["id"]: one for one in told if one["phase"] != "end"}
    assert starts
    assert {path.name for path in root.iterdir() if not path.name.startswith(".")} == set(starts)
    counts = outcome.report["evidence"]
    assert counts["path"] == str(root)
    assert (counts["written"], counts["lost"], counts["without_any"]) == (len(starts), 0, 0), counts
    for one in told:
        assert one["evidence"] == str(root / (one["start"] if one["phase"] == "end" else one["id"]))
    for number, one in starts.items():
        folder = root / number
        there = about(folder)
        assert {key: there[key] for key in one} == one
        if check_what_is_there(folder) != "whole":  # the film has ended
            continue
        assert {path.name for path in folder.iterdir()} >= set(FILES) - {MATCHES}
        lasted = next((end["for_s"] for end in told if end.get("start") == number), 0.0)
        before_s = there["clip"]["before_s"]
        assert seconds_of(folder / CLIP) == pytest.approx(before_s + there["clip"]["after_s"], abs=0.002)
        assert seconds_of(folder / CLIP) >= before_s + lasted + 0.4 - 0.1
    with Archive(run.folder / "videos" / "events.sqlite3") as archive:
        assert {one.evidence for one in archive.events()} == {one["evidence"] for one in told}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_sink_killed_ten_times_in_the_middle_of_events_leaves_nothing_half_written(place: Path) -> None:
    quick = (
        "--set",
        "run.restart_backoff_s=[0.05]",
        "--set",
        "run.give_up_after=0",
        "--set",
        "sink.record=false",
    )
    # only a kill ends what has begun
    lasting = ("--set", "rules.road={kind='moving', zone='road', quiet_s=600}")
    arguments = ("--pace", "--events", "events.jsonl", *quick, *lasting)
    with Pipeline(place, *SHIPPED, *ROAD[:2], *arguments) as run:
        file, root = run.folder / "events.jsonl", run.folder / "videos" / "evidence"
        run.wait_for_rendered("demo", 1)
        killed: list[str] = []
        for number in range(KILLS):
            start = next(iter(until(lambda: unpaired(file), "something moves", 90.0)))
            if number % 2:  # else at once: the clips may not have begun
                until((root / start / CLIP).exists, "the clip grows", 30.0)
            run.kill("sink")
            killed.append(start)
        run.process.terminate()
        outcome = run.finish()
    assert unpaired(file) == set(), outcome.told()
    told = told_in(file)
    assert len({one["id"] for one in told}) == len(told)
    ends = {one["start"]: one for one in told if one["phase"] == "end"}
    assert len(set(killed)) == KILLS
    assert {ends[start]["why"]["ended"] for start in killed} == {"the sink was killed"}
    assert all(ends[start]["evidence"] == str(root / start) for start in killed)
    assert all(about(root / start)["end"] == ends[start]["id"] for start in killed[1::2])
    assert not [path for path in root.iterdir() if path.name.endswith(".partial")]
    folders = {path.name: path for path in root.iterdir() if not path.name.startswith(".")}
    states = {name: check_what_is_there(folder) for name, folder in folders.items()}
    assert set(states.values()) <= {"whole", "cut", "none"}
    for start in killed[1::2]:
        assert states[start] == "cut", start
        assert seconds_of(folders[start] / CLIP) > 0.5
    assert outcome.report["workers"]["sink"]["restarts"] == KILLS
    outcome.stream("demo")  # each frame has one fate


@pytest.mark.slow
def test_a_full_disk_costs_evidence_and_no_frame(place: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    wanted = ("--set", f"evidence.folder={small_disk / 'evidence'}", "--events", "events.jsonl")
    with Pipeline(place, *SHIPPED, *ROAD, *SHORT, *wanted, "--frames", "150", "--pace") as run:
        run.wait_for_rendered("demo", 1)
        with contextlib.suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(1024))
        outcome = run.finish()
    assert outcome.code == 3, outcome.told()
    assert outcome.stream("demo")["rendered"] == 150
    assert list(outcome.report["lost"]) == ["evidence"]
    assert "can't be written: no space left on device" in outcome.err
    assert told_in(run.folder / "events.jsonl")
    assert [path.name for path in small_disk.iterdir()] == ["filler"], "nothing half-written"


def kept_in(folder: Path) -> tuple[str, str]:
    """Settings of evidence in a folder; its events are of another day."""
    return f"evidence.folder={folder}", "evidence.keep_days=36500"


def test_a_folder_that_cannot_be_used_refuses_a_start_but_not_a_restart(place: Path) -> None:
    with EvidenceShelf(place / "e", 30, 10):
        with pytest.raises(UserError, match="another run stores its evidence there"):
            EvidenceTaking(sink(*kept_in(place / "e")))
        again = sink(*kept_in(place / "e"), restarts=1)
        taking = EvidenceTaking(again)
        assert taking.take(event(1), 0).evidence is None
    assert "another run" in again.stats.details["lost"]["evidence"]
    assert len(again.stats.events) == 1


def test_evidence_is_closed_when_the_store_is_safe(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, close = place / "events.sqlite3", EvidenceWriter.close
    closed: list[bool] = []

    def close_after_the_store(writer: EvidenceWriter) -> None:
        with Store(store, 1, 1):  # refused while the sink has it
            closed.append(True)
        close(writer)

    monkeypatch.setattr(EvidenceWriter, "close", close_after_the_store)
    worker = sink(*kept_in(place / "e"), f"store.file={store}", f"endpoints.frames=['ipc://{place}/f']",
                  f"endpoints.predictions=['ipc://{place}/p']")  # fmt: skip
    with worker.resources:
        worker.open()
    assert closed == [True]


def test_the_folder_is_beside_the_store_and_can_be_turned_off() -> None:
    assert load_config().evidence_folder() == Path("outputs/evidence")
    assert load_config(None, ["run.output_dir=''"]).evidence_folder() is None
    assert load_config(None, ["evidence.folder=''"]).evidence_folder() is None
    worker = sink()
    assert EvidenceTaking(worker).take(event(1), 0).evidence is None
    assert "evidence" not in worker.stats.details


def test_an_end_has_the_evidence_of_its_start_and_what_is_no_view_has_none(place: Path) -> None:
    worker = sink(*kept_in(place / "e"))
    with worker.resources:
        taking = EvidenceTaking(worker)
        start, end = event(1, "start", number=5), event(2, "end", number=6, start=f"{5:016x}")
        assert taking.take(start, 0).evidence == str(place / "e" / start.id)
        assert taking.take(end, 0).evidence == str(place / "e" / start.id)
        assert taking.take(event(3, kind="latency"), 0).evidence is None


def test_an_event_that_is_told_late_is_in_its_clip(place: Path) -> None:
    zone = "zones.yard.points=[[0,0],[1,0],[1,1]]"
    rule = "rules.parked={kind='stopped', zone='yard', for_s=20}"
    worker, rules = sink(*kept_in(place / "e"), zone), load_config(None, [zone, rule])
    with worker.resources:
        taking = EvidenceTaking(worker)
        worker.config = msgspec.structs.replace(worker.config, rules=rules.rules)  # as over HTTP
        for seq in range(261):
            taking.see(*shown(seq, width=96))
        taking.take(event(50, "start", kind="stopped"), wall_ns(260))
        # all of it can be written before the sink ends
        until(lambda: (place / "e" / event(50).id).exists(), "the folder is there", 60.0)
    clip = about(place / "e" / event(50).id)["clip"]
    assert clip["before_s"] == 3.0
    assert "missing_s" not in clip


@pytest.mark.parametrize(("zone", "pictures"), [((), 11), (("zones.door.points=[[0,0],[1,0],[1,1]]",), 21)])
def test_where_nothing_is_asked_for_few_pictures_are_kept(
    place: Path, zone: tuple[str, ...], pictures: int
) -> None:
    worker = sink(*kept_in(place / "e"), *zone)
    with worker.resources:
        taking = EvidenceTaking(worker)
        for seq in range(21):
            taking.see(*shown(seq))
        taking.take(event(20, "start", kind="covered"), wall_ns(20))
    assert about(place / "e" / event(20).id)["clip"]["pictures"] == pictures
