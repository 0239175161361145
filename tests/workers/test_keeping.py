"""Events and the motion log of whole runs: kept, also where a sink is killed or a disk is full."""

import contextlib
import json
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from pipeline.base.clock import now_ns
from pipeline.base.config import load_config
from pipeline.base.errors import UserError
from pipeline.base.event import Event, rfc3339
from pipeline.events.archive import Archive
from pipeline.events.replay import Replay
from pipeline.events.store import Store
from tests.events.samples import event, motion_chunk
from tests.workers.pipeline import Pipeline, streams
from tests.workers.program import until
from tests.workers.sinks import sink
from workers.keeping import Keeping

SHIPPED = ("--set", "inference.checkpoint=motion_resnet18")
POINTS = "[[0.05, 0.4], [0.95, 0.4], [0.95, 0.98], [0.05, 0.98]]"
ROAD = (
    "--set",
    f"zones.road.points={POINTS}",
    "--set",
    "rules.road={kind='moving', zone='road', quiet_s=0.5}",
)


def events_of(file: Path) -> list[Event]:
    with Archive(file) as archive:
        return archive.events()


def unpaired(file: Path) -> set[str]:
    """Ids of starts without an end in a file of events; each has at most one."""
    told = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    starts = [one["id"] for one in told if one["phase"] == "start"]
    ends = [one["start"] for one in told if one["phase"] == "end"]
    assert len(set(starts)) == len(starts)
    assert len(set(ends)) == len(ends)
    assert set(ends) <= set(starts)
    return set(starts) - set(ends)


@pytest.mark.slow
def test_a_run_leaves_its_events_and_a_log_that_gives_the_same_ones_again(place: Path) -> None:
    with Pipeline(place, *SHIPPED, *ROAD, "--frames", "60", "--events", "events.jsonl") as run:
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    store = run.folder / "videos" / "events.sqlite3"
    assert outcome.report["store"] == {"path": str(store)}
    assert f"events       {store}"[:40] in outcome.out
    told = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
    kept = events_of(store)
    assert [one.id for one in kept] == [one["id"] for one in sorted(told, key=lambda one: one["time"])]
    assert kept
    watch = load_config(None, ROAD[1::2]).watched()
    with Archive(store) as archive:
        again = list(Replay(watch).events(archive.chunks()))
    assert [one.id for one in again] == [one["id"] for one in told]


@pytest.mark.slow
def test_a_sink_that_takes_over_misses_a_camera_that_was_silent_already(place: Path) -> None:
    gate = {"id": "gate", "source": "rtsp://127.0.0.1:9/none"}
    film = {"id": "film", "source": "demo", "pace": True}
    waits = ("--set", "capture.retry_first_open=true")
    with Pipeline(place, *streams(gate, film), *waits, "--events", "events.jsonl") as run:
        file = run.folder / "events.jsonl"
        run.wait_for_rendered("film", 5)
        run.kill("sink")
        until(lambda: unpaired(file), "the camera is missed", 60.0)
        run.signal(signal.SIGINT)
        run.finish()
    start, end = (json.loads(line) for line in file.read_text().splitlines())
    assert (start["kind"], start["phase"], start["stream_id"]) == ("signal_lost", "start", "gate")
    assert (end["phase"], end["start"]) == ("end", start["id"])


@pytest.mark.slow
def test_each_start_has_its_end_where_the_sink_is_killed_in_the_middle(place: Path) -> None:
    with Pipeline(place, *SHIPPED, *ROAD, "--frames", "150", "--pace", "--events", "events.jsonl") as run:
        file = run.folder / "events.jsonl"
        run.wait_for_rendered("demo", 1)
        until(lambda: unpaired(file), "something moves", 60.0)
        run.kill("sink")
        outcome = run.finish()
    assert outcome.code in (0, 1), outcome.told()
    told = [json.loads(line) for line in file.read_text().splitlines()]
    assert unpaired(file) == set()
    assert [one["why"] for one in told if one.get("why") == {"ended": "the sink was killed"}] != []
    kept = events_of(run.folder / "videos" / "events.sqlite3")
    assert {one.id for one in kept} == {one["id"] for one in told}


@pytest.mark.slow
def test_a_sink_that_takes_over_has_the_motion_of_the_hour_before(place: Path) -> None:
    file, minute_ns = place / "events.sqlite3", 60 * 10**9
    begin_ns = (now_ns() // minute_ns - 20) * minute_ns
    with Store(file, 30, 10) as store:  # twenty minutes ago something moved in a quarter
        seconds = [(begin_ns + second * 10**9, second < 15) for second in range(60)]
        store.write([], [motion_chunk("demo", seconds)])
    web = ("--set", "sink.web=true", "--set", "sink.web_port=0", "--set", f"store.file={file}")
    with Pipeline(place, *SHIPPED, *web, "--frames", "600", "--pace") as run:

        def minutes() -> list[float | None]:
            stats = run.stats("sink")
            if stats is None or "web" not in stats.details:
                return []
            with (
                contextlib.suppress(OSError),
                urlopen(f"{stats.details['web']['url']}/api/streams/demo/motion", timeout=30) as answer,
            ):
                found: list[float | None] = json.load(answer)["moving_share_by_minute"]
                return found
            return []

        def share_of_then() -> float | None:
            found = minutes()
            return found[59 - (now_ns() - begin_ns) // minute_ns] if found else None

        for _ in "ab":
            assert until(share_of_then, "the page has the motion", 60.0) == pytest.approx(0.25, abs=0.02)
            assert until(lambda: [one for one in minutes()[-2:] if one], "and that of now", 60.0)
            run.kill("sink")
        run.signal(signal.SIGINT)
        run.finish()


@pytest.mark.slow
def test_a_disk_that_fills_up_is_a_loss_and_all_frames_are_shown(place: Path, small_disk: Path) -> None:
    file, earlier = small_disk / "events.sqlite3", event(1, time=rfc3339(now_ns()))
    with Store(place / "made", 30, 10) as store:
        store.write([earlier], [])
    shutil.copy(place / "made", file)
    with Pipeline(place, *SHIPPED, *ROAD, "--frames", "60", "--set", f"store.file={file}") as run:
        run.wait_for_rendered("demo", 1)
        with contextlib.suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(1024))
        outcome = run.finish()
    assert outcome.code == 3, outcome.told()
    assert outcome.stream("demo")["rendered"] == 60
    assert list(outcome.report["lost"]) == ["store"]
    assert f"error: {file}: can't be written" in outcome.err
    assert "free some space, or lower store.max_mb" in outcome.err
    (small_disk / "filler").unlink()
    assert events_of(file)[0] == earlier


def test_a_store_that_cannot_be_written_refuses_a_start_but_not_a_restart(place: Path) -> None:
    with Store(place / "s", 30, 10):
        with pytest.raises(UserError, match="another run stores its events there"):
            Keeping(sink(f"store.file={place / 's'}"))
        again = sink(f"store.file={place / 's'}", restarts=1)
        keeping = Keeping(again)
        keeping.keep(event(1))
        keeping.check()
    assert "another run" in again.stats.details["lost"]["store"]
    assert len(again.stats.events) == 1


def test_nothing_is_kept_where_that_is_not_wanted(place: Path) -> None:
    config = load_config(None, ["store.file=''"])
    assert config.store_file() is None
    assert load_config(None, ["run.output_dir=''"]).store_file() is None
    assert load_config().store_file() == Path("outputs/events.sqlite3")


def test_what_is_kept_can_be_asked_for_in_any_thread_while_it_is_written(place: Path) -> None:
    worker = sink(f"store.file={place / 's'}")
    with worker.resources:
        keeping = Keeping(worker)
        one, two = (
            event(0, time=rfc3339(now_ns() - ago), stream_id=name) for ago, name in ((9, "a"), (0, "b"))
        )
        for kept in (one, two):
            keeping.keep(kept)

        def asked(*wanted: Any) -> list[Event]:
            with ThreadPoolExecutor(1) as threads:
                return threads.submit(keeping.newest, *wanted).result()

        until(lambda: len(asked(None, None, None, 9)) == 2, "both are written", 30.0)
        assert asked(None, None, "a", 9) == [one]
        assert len(asked(None, None, None, 1)) == 1
        assert asked(None, "dark", None, 9) == []


def test_the_motion_between_two_times_can_be_asked_for_without_what_is_damaged(place: Path) -> None:
    start_ns = now_ns() // 10**9 * 10**9
    seconds = [(start_ns + second * 10**9, second % 2 == 0) for second in range(10)]
    with Store(place / "s", 30, 10) as store:
        broken = motion_chunk("a", seconds)._replace(data=b"nothing")
        store.write([], [motion_chunk("a", seconds), motion_chunk("b", seconds), broken])
    worker = sink(f"store.file={place / 's'}")
    with worker.resources:
        keeping = Keeping(worker)
        found = keeping.motion("a", start_ns + 2 * 10**9, start_ns + 5 * 10**9)
        assert found == [(start_ns + second * 10**9, int(second % 2 == 0)) for second in (2, 3, 4)]
        assert keeping.motion("c", 0, start_ns + 10**12) == []
    with pytest.raises(UserError, match="no events are stored"):
        Keeping(sink()).motion("a", 0, 1)


def test_without_a_store_nothing_can_be_asked_for() -> None:
    with pytest.raises(UserError, match="no events are stored"):
        Keeping(sink()).newest(None, None, None, 1)
