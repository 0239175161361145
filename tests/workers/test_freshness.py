"""Freshness in whole pipelines: a link that is too slow, a worker that stands still, one that is gone."""

import os
import re
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.account.stats import Freshness, Histogram
from pipeline.base.config import load_config
from tests.rigs.slow_link import SlowLink
from tests.support import free_port
from tests.workers.films import camera_film
from tests.workers.pipeline import QUICK, Pipeline, quick_model, streams
from tests.workers.program import START_S, Program, until
from workers.collector import Collector
from workers.rundir import place_endpoints

LONG_S = 90.0
TARGET_MS = 800.0


def camera(place: Path) -> tuple[str, str]:
    """A film that behaves as a camera with 25 pictures a second."""
    film = camera_film(place / "film.mp4", frames=4500, width=640, height=480)
    return streams({"id": "cam", "source": str(film), "policy": "newest"})


@pytest.mark.slow
def test_over_a_slow_link_predictions_become_young_and_pictures_good_again(place: Path) -> None:
    port, slow_port = free_port(), free_port()
    # Both ends are on this machine: shared memory would not go over the link.
    at_the_camera = ("--set", f"endpoints.frames=['tcp://127.0.0.1:{port}']", "--set", "capture.encoding=raw")
    over_the_link = ("--set", f"endpoints.frames=['tcp://127.0.0.1:{slow_port}']")
    capture = Program(place, "capture", *at_the_camera, *camera(place), "--max-age", "800", name="capture")
    inference = Program(place, "inference", *over_the_link, *quick_model(), name="inference")
    sink = Program(place, "sink", *at_the_camera, *QUICK[2:], "--set", "run.output_dir=", name="sink")
    with ExitStack() as running:
        link = running.enter_context(SlowLink(slow_port, port, kb_per_s=600))  # a raw frame takes 1.5 s
        for program in (capture, inference, sink):
            running.enter_context(program)
        watched = running.enter_context(Watched(place))
        capture.wait_for("most of it on the way to inference: JPEG quality", LONG_S)
        until(watched.in_time, "predictions come in time", LONG_S, lambda: capture.out)
        age_ms = watched.next_ages(frames=20)
        assert age_ms < TARGET_MS, capture.out

        link.set_rate(1_000_000)
        until(lambda: "stepping up to the configured encoding" in capture.out, "raw again", LONG_S)
        for program in (capture, inference, sink):
            program.signal(signal.SIGINT)
            assert program.finish().code == 0, program.out
        watched.collector.poll(1.0)
        report = watched.collector.report(final=True)["streams"]["cam"]
    assert report["captured"] == report["rendered"] + sum(report["dropped"].values())
    assert report["unaccounted"] == 0
    assert report["freshness"]["max_age_ms"] == TARGET_MS
    assert report["freshness"]["turns"]["quality down"] >= 1
    assert "size" not in report["cache"]["resets"], "a smaller picture is no other camera"


@pytest.mark.slow
def test_a_machine_that_is_too_slow_for_its_camera_says_so_and_what_helps(place: Path) -> None:
    slow = ("runtime.backend=torch", "inference.longer_side_px=384", "inference.threads=1", "sink.web=false")
    options = [part for text in slow for part in ("--set", text)]
    with Pipeline(place, *camera(place), "--frames", "200", *options, quick=False) as run:
        outcome = run.finish()
    cam = outcome.stream("cam")
    assert cam["not_predicted"]["inference.overflow"] > cam["received"] / 3
    logged, summary = outcome.out.split("Summary")
    for text in (logged, " ".join(summary.replace("│", " ").split())):
        assert "inference cannot keep up: lower the frame rate (webcam: capture.fps)" in text, outcome.told()


def test_inference_that_stands_still_again_and_again_gets_fewer_frames_and_all_of_them_later(
    place: Path,
) -> None:
    with Pipeline(place, *camera(place), "--max-age", "0.3s") as run:
        run.wait_for_overlays("cam", 5)
        inference = run.pid("inference")
        deadline_s = time.monotonic() + LONG_S
        # How late a step is, and so how many frames are left out at first, depends on the machine.
        while not re.search(r"most of it in inference: every \d+(nd|rd|th) frame", run.out):
            assert time.monotonic() < deadline_s, run.out
            os.kill(inference, signal.SIGSTOP)
            time.sleep(0.2)
            os.kill(inference, signal.SIGCONT)
            time.sleep(0.005)  # less than a step: every step is late, wherever a stop begins
        run.wait_for("stepping up to every frame", LONG_S)
        run.signal(signal.SIGINT)
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    stream = outcome.stream("cam")
    assert stream["dropped"]["capture.stride"] > 0
    assert stream["freshness"]["turns"]["stride down"] >= 1
    assert stream["freshness"]["stride"] == 1


def test_without_reports_of_inference_nothing_is_turned(place: Path) -> None:
    with Pipeline(place, *camera(place), "--max-age", "1ms") as run:
        run.wait_for_rendered("cam", 5)
        run.wait_for("most of it .*: every 3rd frame")
        os.kill(run.pid("inference"), signal.SIGSTOP)
        run.wait_for("no report on the age of predictions; until one arrives: .*every .* frame")
        before = told(run)
        time.sleep(3.0)
        after = told(run)
        os.kill(run.pid("inference"), signal.SIGCONT)
        until(lambda: told(run).age_ms is not None, "a report from inference", START_S)
        run.signal(signal.SIGINT)
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    assert before.age_ms is None
    assert before.stride > 1
    assert before == after
    outcome.stream("cam")


@pytest.mark.slow
def test_reports_of_inference_that_are_far_apart_count(place: Path) -> None:
    with Pipeline(place, *camera(place), "--max-age", "1ms", "--set", "wire.stats_interval_s=3.2") as run:
        run.wait_for("most of it .*: ", LONG_S)


def test_inference_that_never_reported_is_an_event(place: Path) -> None:
    frames = ("--set", f"endpoints.frames=['tcp://127.0.0.1:{free_port()}']")
    alone = ("--set", "capture.wait_for=['sink']")
    capture = Program(place, "capture", *frames, *alone, *camera(place), "--max-age", "1s", name="capture")
    sink = Program(place, "sink", *frames, *QUICK[2:], "--set", "run.output_dir=", name="sink")
    with capture, sink:
        capture.wait_for("cam: no report on the age of predictions; until one arrives: ")


def test_a_stream_that_may_lose_nothing_is_left_alone(place: Path) -> None:
    with Pipeline(place, "--frames", "20", "--max-age", "1ms") as run:
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    assert "demo: --max-age (freshness.max_age_ms) applies only to live streams" in outcome.out
    stream = outcome.stream("demo")
    assert (stream["predicted"], stream["freshness"]) == (20, None)


@pytest.mark.parametrize("text", ["soon", "150 m", "-5", "1h"])
def test_a_wrong_age_is_one_line(place: Path, text: str) -> None:
    with Program(place, f"--max-age={text}") as program:
        outcome = program.finish()
    assert outcome.code == 2, outcome.told()
    assert re.fullmatch(r"error: '.*' is not a duration: use 150ms, 2s, .*\n", outcome.err)


def told(run: Pipeline) -> Freshness:
    freshness = run.stream("capture", "cam").freshness
    assert freshness is not None
    return freshness


class Watched:
    """A monitor's view of workers that were started one by one."""

    def __init__(self, place: Path) -> None:
        self._folder = place / "runtime" / "kvq-stream" / "shared"

    def __enter__(self) -> "Watched":
        until(self._folder.exists, "the folder of the workers", START_S)
        self.collector = Collector(place_endpoints(load_config(), self._folder))
        return self

    def __exit__(self, *_: object) -> None:
        self.collector.close()

    def in_time(self) -> bool:
        """Whether capture hears of predictions that are in time."""
        self.collector.poll(0.05)
        stats = self.collector.newest("capture")
        freshness = stats.streams["cam"].freshness if stats and "cam" in stats.streams else None
        return bool(freshness and freshness.quality and freshness.age_ms and freshness.age_ms < TARGET_MS)

    def next_ages(self, frames: int) -> float:
        """The age in ms that half of the next predictions do not exceed, as inference itself counts it."""
        before = self._ages()
        until(lambda: self._ages().total >= before.total + frames, "more predictions", START_S)
        newer = self._ages()
        for bucket, count in before.counts.items():
            newer.counts[bucket] -= count
        age_ms = newer.percentile(50)
        assert age_ms is not None
        return age_ms

    def _ages(self) -> Histogram:
        self.collector.poll(0.05)
        stats = self.collector.newest("inference")
        assert stats is not None
        ages = stats.streams["cam"].latency["capture_to_prediction"]
        return Histogram(dict(ages.counts), ages.largest)
