import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.video.source import SourceError, open_source
from tests.rigs.webcam import VirtualWebcam
from tests.video.clips import options

# Runs under pw-v4l2, which shows the virtual camera to one program.
LOOK = """
from pipeline.video.source import SourceError, open_source
from tests.video.clips import options
with open_source("0", options(read_timeout_s=1.0)) as camera:
    sizes = {camera.read().image.shape for _ in range(20)}
    print("seen", camera.fps, sizes, flush=True)
    input()
    try:
        while True:
            camera.read()
    except SourceError as error:
        print(error.kind, flush=True)
"""


def test_no_camera_is_one_line_and_no_noise(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError) as caught:
        open_source("97", options()).open()
    assert caught.value.kind == "no_camera"
    assert "try another number" in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.camera
def test_webcam_is_read_and_missed_when_it_is_unplugged(tmp_path: Path) -> None:
    with (
        VirtualWebcam(tmp_path) as webcam,
        subprocess.Popen(
            webcam.command(sys.executable, "-c", LOOK),
            env=webcam.environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as program,
    ):
        assert program.stdout is not None
        assert program.stdin is not None
        try:
            assert program.stdout.readline() == "seen 30.0 {(480, 640, 3)}\n"
            webcam.unplug()
            print(file=program.stdin, flush=True)
            assert program.stdout.readline() == "lost\n"
            assert program.communicate(timeout=30)[1] == ""
        finally:
            program.kill()
