"""The capture worker alone: how it waits for a live source that is lost."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.rigs.rtsp import RtspCamera
from tests.rigs.webcam import VirtualWebcam
from tests.support import free_port
from tests.workers.program import PROGRAM, Program, until

CAPTURE = ("capture", "--set", "capture.wait_for=[]", "--set", "capture.reconnect_backoff_s=[30.0]")


@pytest.mark.camera
def test_a_lost_webcam_that_is_the_only_camera_is_to_be_tried_again_within_five_seconds(
    tmp_path: Path,
) -> None:
    output = tmp_path / "output.txt"
    with VirtualWebcam(tmp_path) as webcam, output.open("wb") as out:
        program = subprocess.Popen(
            webcam.command(sys.executable, str(PROGRAM), *CAPTURE, "--source", "0"),
            env=webcam.environment,
            stdout=out,
            stderr=out,
        )
        try:
            until(lambda: "up: camera 0" in output.read_text(), "the camera", 30.0, output.read_text)
            webcam.unplug()
            until(lambda: "trying again in 5.0 s" in output.read_text(), "the wait", 30.0, output.read_text)
        finally:
            program.kill()
            program.wait()


@pytest.mark.rtsp
def test_a_lost_network_camera_that_is_the_only_one_is_back_without_the_long_wait(place: Path) -> None:
    with RtspCamera() as camera, Program(place, *CAPTURE, "--source", camera.url()) as capture:
        capture.wait_for("up: rtsp://")
        camera.kill()
        capture.wait_for(r"trying again in 5\.0 s", 20.0)
        camera.start()
        capture.wait_for("(?s)up: rtsp://.*up: rtsp://", 25.0)


def test_one_live_source_of_several_waits_as_configured(place: Path) -> None:
    away = f"rtsp://127.0.0.1:{free_port()}/"
    patient = ("--set", "capture.retry_first_open=true", "--set", "capture.reconnect_jitter=0.0")
    with Program(place, *CAPTURE, *patient, "--source", f"{away}a", "--source", f"{away}b") as several:
        several.wait_for(r"trying again in 30\.0 s")
    with Program(place, *CAPTURE, *patient, "--source", f"{away}a", "--source", "demo", name="one") as one:
        one.wait_for(r"trying again in 5\.0 s")
