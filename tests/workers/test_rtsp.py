"""Real RTSP cameras through all workers: one dies and comes back, the other goes on; wrong passwords."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.rigs.rtsp import RtspCamera, raw_h264
from tests.support import people_walking
from tests.workers.pipeline import Pipeline, streams
from tests.workers.program import Program, until

PASSWORD = "hunter2"
pytestmark = pytest.mark.rtsp


@pytest.mark.slow
def test_a_camera_that_dies_comes_back_and_the_other_goes_on(place: Path) -> None:
    with (
        RtspCamera(width=480, height=320, fps=15, user="me", password=PASSWORD) as dying,
        RtspCamera(width=480, height=320, fps=15) as steady,
    ):
        sources = streams({"id": "dying", "source": dying.url()}, {"id": "steady", "source": steady.url()})
        with Pipeline(place, *sources, "--set", "capture.reconnect_backoff_s=[0.5]") as run:
            run.wait_for_overlays("dying", 10)
            run.wait_for_overlays("steady", 10)
            dying.kill()
            run.wait_until("capture", "dying", lambda stats: stats.state == "down")
            shown = run.stream("sink", "steady").rendered
            run.wait_for_rendered("steady", shown + 10)
            dying.start()
            run.wait_until("sink", "dying", lambda stats: stats.epoch == 1)
            run.wait_for_overlays("dying", 20)
            run.signal(signal.SIGINT)
            outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    assert PASSWORD not in outcome.told()
    assert "me:***@" in outcome.out
    steady_figures, figures = outcome.stream("steady"), outcome.stream("dying")
    assert (steady_figures["epochs"], figures["epochs"]) == (1, 2)
    assert "reconnect" not in steady_figures["cache"]["resets"]
    assert figures["cache"]["resets"]["reconnect"] == 1
    lines = [line for line in outcome.predictions if line["stream_id"] == "dying"]
    depths = {epoch: [line["depth"] for line in lines if line["epoch"] == epoch] for epoch in (0, 1)}
    assert 2 in depths[0]
    assert depths[1][0] == 0
    assert 2 in depths[1]


def told_in(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.slow
def test_a_signal_that_is_cut_or_stalls_is_told_to_be_lost_and_to_be_back(place: Path) -> None:
    lost, back = ("signal_lost", "start"), ("signal_back", "once")
    with RtspCamera(width=480, height=320, fps=10) as camera:
        source = streams({"id": "gate", "source": camera.url()})
        impatient = ("--set", "capture.reconnect_backoff_s=[0.5]", "--set", "capture.read_timeout_s=2")
        with Pipeline(place, *source, *impatient, "--events", "events.jsonl") as run:
            file = run.folder / "events.jsonl"

            def wait_for(what: tuple[str, str], times: int) -> None:
                def is_told() -> bool:
                    return [(one["kind"], one["phase"]) for one in told_in(file)].count(what) == times

                until(is_told, f"{what} is told", 60.0)

            run.wait_for_rendered("gate", 10)
            for number, (stop, go_on) in enumerate(
                ((camera.freeze, camera.thaw), (camera.kill, camera.start)), start=1
            ):
                stop()
                wait_for(lost, number)
                go_on()
                wait_for(back, number)
            run.signal(signal.SIGINT)
            outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    told = [one for one in told_in(file) if one["kind"].startswith("signal")]
    assert [(one["kind"], one["phase"]) for one in told] == [lost, ("signal_lost", "end"), back] * 2
    for start, end, again in zip(told[::3], told[1::3], told[2::3], strict=True):
        assert end["start"] == start["id"]
        # The loss ends when the sink hears the frame; the signal is back when the camera captured it.
        assert start["time"] < end["time"]
        assert start["time"] < again["time"]
        assert again["for_s"] >= 5.0
        assert "evidence" not in again
    assert outcome.stream("gate")["events"] == {"signal_lost": 2, "signal_back": 2}
    assert "gate: frames are arriving again after" in outcome.out


@pytest.mark.slow
def test_a_camera_whose_packets_are_lost_is_smeared_and_a_whole_one_never(place: Path) -> None:
    clip = raw_h264(people_walking(), place, seconds=10, fps=10)
    with RtspCamera(clip=clip, fps=10, lose=0.1) as lossy, RtspCamera(clip=clip, fps=10) as whole:
        sources = streams(
            {"id": "lossy", "source": lossy.url("/clip")}, {"id": "whole", "source": whole.url("/clip")}
        )
        udp = ("--set", "capture.rtsp_transport=udp")
        with Pipeline(place, *sources, *udp, "--events", "events.jsonl") as run:
            file = run.folder / "events.jsonl"

            def ends() -> list[dict[str, Any]]:
                return [one for one in told_in(file) if (one["kind"], one["phase"]) == ("smeared", "end")]

            until(lambda: len(ends()) >= 2, "it is over twice", 60.0)
            run.signal(signal.SIGINT)
            outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    told = [one for one in told_in(file) if one["kind"] == "smeared"]
    assert {one["stream_id"] for one in told} == {"lossy"}
    assert [one["phase"] for one in told] == ["start", "end"] * (len(told) // 2)
    assert [one["start"] for one in told[1::2]] == [one["id"] for one in told[::2]]
    figures = outcome.stream("lossy")
    assert figures["not_predicted"]["inference.bad_picture"] > 10
    assert figures["health"]["smeared"] > 0
    assert "smeared" not in outcome.stream("whole")["health"]
    assert "lossy: image smeared" in outcome.out


def test_a_wrong_password_is_one_line_that_does_not_tell_it(place: Path) -> None:
    camera = RtspCamera(user="me", password="right")
    with camera, Program(place, "--headless", "--source", camera.url(password=PASSWORD)) as program:
        outcome = program.finish()
    assert outcome.code == 2, outcome.told()
    assert outcome.err.startswith("error: rtsp://me:***@127.0.0.1")
    assert "password" in outcome.err
    assert outcome.err.count("\n") == 1
    assert PASSWORD not in outcome.told()
    assert "Traceback" not in outcome.told()
