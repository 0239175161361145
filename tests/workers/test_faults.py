"""Workers that are killed or stopped: the run goes on by itself, and every frame stays accounted for."""

import os
import re
import signal
import time
from pathlib import Path

import psutil
import pytest

from pipeline.base.config import load_config
from tests.workers.films import camera_film, count
from tests.workers.pipeline import Pipeline, streams
from tests.workers.program import Outcome, until
from workers.collector import Collector
from workers.rundir import place_endpoints

QUICK_RESTART = ("--set", "run.restart_backoff_s=[0.2]")
STOPPED_S = 3.0


def live(place: Path, *, width: int = 320, height: int = 240) -> tuple[str, str]:
    """A film that behaves as a camera: it does not wait for anybody."""
    film = camera_film(place / "film.mp4", frames=2500, width=width, height=height)
    return streams({"id": "cam", "source": str(film), "policy": "newest"})


@pytest.mark.slow
def test_a_live_run_outlives_the_death_of_each_worker(place: Path) -> None:
    with Pipeline(place, *live(place), *QUICK_RESTART) as run:
        run.wait_for_rendered("cam", 20)
        for role in ("sink", "inference", "capture"):
            run.kill(role)
            shown = run.stream("sink", "cam").rendered
            run.wait_for_rendered("cam", shown + 5)
            if role == "sink":
                check_what_a_late_monitor_knows(run)
            if role == "inference":  # the sink shows frames without predictions too
                run.wait_until("inference", "cam", lambda stats: stats.predicted >= 5)
        run.wait_until("inference", "cam", lambda stats: stats.resets.get("restart", 0) >= 1)
        run.signal(signal.SIGINT)
        outcome = run.finish()
    check_recovery(outcome, "cam")
    assert outcome.stream("cam")["cache"]["resets"].get("restart") == 1


@pytest.mark.slow
def test_a_run_that_loses_nothing_outlives_the_death_of_each_worker(place: Path) -> None:
    frames = 90
    with Pipeline(place, "--frames", str(frames), *QUICK_RESTART) as run:
        for role, shown in (("sink", 35), ("inference", 5), ("capture", 5)):
            run.wait_for_rendered("demo", shown)
            run.kill(role)
        outcome = run.finish()
    check_recovery(outcome, "demo")
    stream = outcome.stream("demo")
    assert frames < stream["captured"] <= 2 * frames, "a new capture worker plays the tour from its start"
    assert (outcome.predictions[0]["epoch"], outcome.predictions[0]["seq"]) == (0, 0), (
        "lines are kept as well"
    )
    videos = outcome.report["videos"]["demo"]
    assert {*videos} == {str(path) for path in (run.folder / "videos").glob("*/demo*.mp4")}
    summary = re.sub(r"[│\s]", "", outcome.out[outcome.out.index("Summary") :])  # long paths are folded
    assert re.search(r"demo\.mp4,demo_[\dTZ-]+\.mp4", summary)
    assert f"predictions{run.predictions_file}" in summary
    before, after = (count(Path(video)) for video in videos)
    assert before, "a kill costs no more than the last second of the film"
    assert before + after <= stream["captured"]


@pytest.mark.slow
def test_every_prediction_that_was_shown_counts_though_its_worker_was_killed(place: Path) -> None:
    rarely = ("--set", "wire.stats_interval_s=1")
    with Pipeline(place, "--frames", "80", *rarely, *QUICK_RESTART) as run:
        run.wait_for_rendered("demo", 20)
        run.kill("inference")
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    stream = outcome.stream("demo")
    assert stream["predicted"] >= len(outcome.predictions) > 20, outcome.told()
    assert stream["backbone_passes"] + stream["reused"] == stream["predicted"]
    assert f"{stream['predicted']} frames with" in outcome.out


def check_what_a_late_monitor_knows(run: Pipeline) -> None:
    """A restarted worker tells what its former process had counted, and looks like a worker in ``ps``."""
    collector = Collector(place_endpoints(load_config(), run.run_folders()[-1]))
    try:
        until(lambda: collector.poll(0.05) or len(collector.former("sink")) == 2, "the former sink", 30.0)
        former, present = (stats.streams["cam"].rendered for stats in collector.former("sink"))
        assert former >= 5, "the supervisor may have missed the last report: it was killed while it sent it"
        assert collector.report()["streams"]["cam"]["rendered"] == former + present
    finally:
        collector.close()
    for role in ("capture", "inference", "sink"):
        assert psutil.Process(run.pid(role)).name() == f"kvq-{role}"
    run.wait_for(rf"sink is ready again \(pid {run.pid('sink')}\)")
    first = collector.former("sink")[0].pid
    assert f"all workers are ready (pids: sink {first}, inference" in run.out


def check_recovery(outcome: Outcome, stream_id: str) -> None:
    assert outcome.code == 0, outcome.told()
    assert {name: worker["restarts"] for name, worker in outcome.report["workers"].items()} == {
        "capture": 1,
        "inference": 1,
        "sink": 1,
    }
    for role in ("capture", "inference", "sink"):
        assert f"{role} was killed by SIGKILL: restarting in" in outcome.out
    stream = outcome.stream(stream_id)
    assert stream["backbone_passes"] + stream["reused"] == stream["predicted"]


def test_a_supervisor_that_is_killed_takes_its_workers_along(place: Path) -> None:
    source = live(place)
    with Pipeline(place, *source, name="killed") as killed:
        killed.wait_for_rendered("cam", 5)
        killed.process.kill()
        killed.process.wait()
        killed.wait_until_gone(30.0)
        (stale,) = killed.run_folders()
    with Pipeline(place, *source, "--frames", "10", name="next") as following:
        following.wait_for("capture=ready")
        assert stale not in following.run_folders()
        outcome = following.finish()
    assert outcome.code == 0, outcome.told()
    assert outcome.stream("cam")["captured"] == 10


def test_a_sink_that_stands_still_costs_frames_but_no_memory(place: Path) -> None:
    with Pipeline(place, *live(place, width=640, height=480)) as run:
        run.wait_for_rendered("cam", 5)
        before = run.stats("capture")
        sink = run.pid("sink")
        own = os.nice(0)
        assert psutil.Process(run.pid("inference")).nice() == own
        assert psutil.Process(sink).nice() == max(own, 10), "drawing gives way to the model"
        os.kill(sink, signal.SIGSTOP)
        time.sleep(STOPPED_S)
        after = run.stats("capture")
        predicted = run.stream("inference", "cam").predicted
        os.kill(sink, signal.SIGCONT)
        run.wait_for_rendered("cam", run.stream("sink", "cam").rendered + 5)
        run.wait_until("inference", "cam", lambda stats: stats.predicted > predicted)
        run.signal(signal.SIGINT)
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    stream = outcome.stream("cam")
    assert stream["dropped"].keys() & {"wire.lost", "wire.overwritten"}
    assert {worker["restarts"] for worker in outcome.report["workers"].values()} == {0}
    assert before is not None
    assert after is not None
    frame_mb, frames = 640 * 480 * 3 / 2**20, STOPPED_S * 25
    assert after.rss_mb - before.rss_mb < frame_mb * frames / 2


def test_workers_that_may_open_no_more_files_go_on(place: Path) -> None:
    with Pipeline(place, *live(place)) as run:
        run.wait_for_overlays("cam", 5)
        for role in ("capture", "inference", "sink"):
            process = psutil.Process(run.pid(role))
            used = {int(descriptor.name) for descriptor in Path(f"/proc/{process.pid}/fd").iterdir()}
            free = min({*range(len(used) + 1)} - used)  # what it opens next would get this number
            process.rlimit(psutil.RLIMIT_NOFILE, (free, free))
            check_statistics_and_pictures_go_on(run, role)
        run.signal(signal.SIGINT)
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    assert {worker["restarts"] for worker in outcome.report["workers"].values()} == {0}
    assert min(worker["rss_mb"] for worker in outcome.report["workers"].values()) > 0
    outcome.stream("cam")


def check_statistics_and_pictures_go_on(run: Pipeline, role: str) -> None:
    before = run.stats(role)
    assert before is not None
    until(lambda: (run.stats(role) or before).sent_ns > before.sent_ns + 10**9, f"stats of {role}", 30.0)
    run.wait_for_overlays("cam", run.stream("sink", "cam").rendered + 5)


@pytest.mark.parametrize("role", ["sink", "inference"])
def test_a_run_that_is_given_up_ends_in_order_with_its_report(place: Path, role: str) -> None:
    with Pipeline(place, *live(place), "--set", "run.give_up_after=1") as run:
        run.wait_for_overlays("cam", 5)
        os.kill(run.pid(role), signal.SIGKILL)
        outcome = run.finish()
    assert outcome.code == 1, outcome.told()
    assert f"error: {role} was killed by SIGKILL 1 times in a row: giving up" in outcome.err, outcome.told()
    assert "Summary" in outcome.out, outcome.told()
    assert outcome.stream("cam")["captured"] > 0
    assert "unaccounted" not in outcome.err, outcome.told()
