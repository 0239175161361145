import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.video import camera
from pipeline.video.open import open_source
from pipeline.video.source import SourceError
from tests.rigs.webcam import VirtualWebcam
from tests.video.clips import options

# Runs under pw-v4l2, which shows the virtual camera to one program.
LOOK = """
from pipeline.video.open import open_source
from pipeline.video.source import SourceError
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


RATE = """
import sys
from pipeline.video.open import open_source
from tests.video.clips import options
with open_source("0", options(fps=float(sys.argv[1]))) as camera:
    print("seen", camera.fps, camera.note or "-", flush=True)
    times = [camera.read().capture_ns for _ in range(31)]
    print(30e9 / (times[-1] - times[0]), flush=True)
"""


SLOW = """
from pipeline.video.open import open_source
from tests.video.clips import options
with open_source("0", options(fps=1.0, read_timeout_s=0.6)) as camera:
    times = [camera.read().capture_ns for _ in range(4)]
    print(3e9 / (times[-1] - times[0]), flush=True)
"""


HANG = """
import threading
from pipeline.video.open import open_source
from pipeline.video.source import SourceError
from tests.video.clips import options

def attempt(open_timeout_s):
    try:
        with open_source("0", options(open_timeout_s=open_timeout_s)) as camera:
            return camera.read() is not None
    except SourceError as error:
        return error.kind

print("ready", flush=True)
input()
answers = [attempt(0.3) for _ in range(5)]
print(answers, [thread.name for thread in threading.enumerate()], flush=True)
input()
while attempt(10.0) is not True:
    pass
print("back", flush=True)
"""


def test_no_camera_is_one_line_and_no_noise(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError) as caught:
        open_source("97", options()).open()
    assert caught.value.kind == "no_camera"
    assert "try another number" in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_hanging_camera_that_was_unplugged_is_not_to_be_unplugged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path / "video97"
    device.touch()
    monkeypatch.setattr(camera, "_device", lambda index: device)

    class Hanging(camera._Grabber):
        def run(self) -> None:
            self.pictures.put(self.pictures, 60.0)  # type: ignore[arg-type]
            self.pictures.put(self.pictures, 60.0)  # type: ignore[arg-type]

    former = Hanging(97, options())
    former.stopping.set()
    former.start()
    monkeypatch.setitem(camera.CameraSource._owners, 97, former)
    try:
        with pytest.raises(SourceError, match="does not respond; check that it is plugged in") as caught:
            open_source("97", options()).open()
        assert caught.value.kind == "timeout"
        device.unlink()
        with pytest.raises(SourceError, match="was unplugged; plug it in again") as caught:
            open_source("97", options()).open()
        assert caught.value.kind == "no_camera"
    finally:
        former.pictures.close()
        former.join()


@pytest.mark.camera
@pytest.mark.parametrize(
    ("fps", "seen"), [(10, "seen 10.0 the camera delivers 30 fps, 10 were asked for"), (30, "seen 30.0 -")]
)
def test_a_webcam_that_is_faster_than_wanted_is_thinned_out(tmp_path: Path, fps: int, seen: str) -> None:
    with (
        VirtualWebcam(tmp_path) as webcam,
        subprocess.Popen(
            webcam.command(sys.executable, "-c", RATE, str(fps)),
            env=webcam.environment,
            text=True,
            stdout=subprocess.PIPE,
        ) as program,
    ):
        assert program.stdout is not None
        try:
            assert program.stdout.readline().startswith(seen)
            assert fps * 0.5 <= float(program.stdout.readline()) <= fps * 1.05
        finally:
            program.kill()


@pytest.mark.camera
def test_a_rate_below_the_read_timeout_does_not_lose_the_camera(tmp_path: Path) -> None:
    with VirtualWebcam(tmp_path) as webcam:
        ran = subprocess.run(
            webcam.command(sys.executable, "-c", SLOW),
            env=webcam.environment,
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout) > 0


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


@pytest.mark.camera
def test_a_hung_device_holds_one_thread_however_often_it_is_tried(tmp_path: Path) -> None:
    with (
        VirtualWebcam(tmp_path) as webcam,
        subprocess.Popen(
            webcam.command(sys.executable, "-c", HANG),
            env=webcam.environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as program,
    ):
        assert program.stdout is not None
        assert program.stdin is not None
        pipewire = next(service for service in webcam._services if service.args == ("pipewire",))
        try:
            assert program.stdout.readline() == "ready\n"
            pipewire.send_signal(signal.SIGSTOP)
            print(file=program.stdin, flush=True)
            assert program.stdout.readline() == f"{['timeout'] * 5} ['MainThread', 'camera 0']\n"
            pipewire.send_signal(signal.SIGCONT)
            print(file=program.stdin, flush=True)
            assert program.stdout.readline() == "back\n"
        finally:
            program.kill()
            pipewire.send_signal(signal.SIGCONT)
