"""Real RTSP cameras through all workers: one dies and comes back, the other goes on; wrong passwords."""

import signal
from pathlib import Path

import pytest

from tests.rigs.rtsp import RtspCamera
from tests.workers.pipeline import Pipeline, streams
from tests.workers.program import Program

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
