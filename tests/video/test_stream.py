"""Network streams against a real RTSP server that is killed, frozen and restarted."""

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipeline.base.backoff import Backoff
from pipeline.base.clock import now_ns
from pipeline.video.open import open_source
from pipeline.video.reader import Captured, Reader
from pipeline.video.source import Picture, SourceError
from tests.rigs.rtsp import RtspCamera, clock_ms, raw_h264
from tests.support import free_port, need_command, people_walking
from tests.video.clips import options, read_all
from tests.video.udp import video_then_noise, video_then_only_sound
from tests.workers.program import START_S, until

PASSWORD = "hunter2"


@pytest.fixture
def camera() -> Iterator[RtspCamera]:
    with RtspCamera(width=480, height=320, fps=25) as server:
        yield server


def read_some(url: str, count: int, *, transport: str = "tcp") -> list[Picture]:
    with open_source(url, options(rtsp_transport=transport)) as source:
        pictures = [source.read() for _ in range(count)]
    return [picture for picture in pictures if picture is not None]


def reader_of(camera: RtspCamera, *, ring_frames: int = 2) -> Reader:
    return Reader(
        lambda: open_source(camera.url(), options(read_timeout_s=1.0, open_timeout_s=3.0)),
        policy="newest",
        backoff=Backoff([0.2, 0.5], 0.2),
        ring_frames=ring_frames,
        retry_first_open=False,
    )


def take_until(reader: Reader, enough: Callable[[Captured], bool], *, within_s: float = 30.0) -> Captured:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        captured = reader.take(0.2)
        if captured is not None and enough(captured):
            return captured
    pytest.fail(f"did not happen within {within_s:g} s: {reader.state}, {reader.pop_events()}")


def wait_for_state(reader: Reader, state: str, *, within_s: float = 15.0) -> None:
    deadline = time.monotonic() + within_s
    while reader.state != state:
        reader.take(0.01)
        assert time.monotonic() < deadline, f"still {reader.state}"


@pytest.mark.rtsp
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_pictures_carry_their_time(camera: RtspCamera, transport: str) -> None:
    pictures = read_some(camera.url(), 15, transport=transport)
    assert {picture.image.shape for picture in pictures} == {(320, 480, 3)}
    shown_ms = [clock_ms(picture.image) for picture in pictures]
    assert shown_ms == sorted(set(shown_ms))
    assert shown_ms[0] <= pictures[0].capture_ns / 1e6 + 1
    stamps = [picture.pts_ns for picture in pictures if picture.pts_ns is not None]
    assert len(stamps) >= 14
    assert stamps == sorted(set(stamps))


@pytest.mark.rtsp
def test_real_video_over_rtsp(tmp_path: Path) -> None:
    clip = raw_h264(people_walking(), tmp_path, seconds=3, fps=25)
    with RtspCamera(clip=clip, fps=25) as camera:
        pictures = read_some(camera.url("/clip"), 25)
    assert {picture.image.shape for picture in pictures} == {(576, 768, 3)}
    assert not any(picture.damaged for picture in pictures)


@pytest.mark.rtsp
@pytest.mark.parametrize("auth", ["basic", "digest"])
def test_password(auth: str, capfd: pytest.CaptureFixture[str]) -> None:
    with RtspCamera(user="guest", password=PASSWORD, auth=auth) as camera:
        assert len(read_some(camera.url(), 2)) == 2
        source = open_source(camera.url(password="wr0ng-one"), options())
        with pytest.raises(SourceError) as caught:
            source.open()
    assert caught.value.kind == "unauthorized"
    assert "check both in the URL" in str(caught.value)
    shown = str(caught.value) + repr(caught.value) + source.description + "".join(capfd.readouterr())
    assert "wr0ng-one" not in shown
    assert PASSWORD not in shown


@pytest.mark.rtsp
def test_wrong_path(camera: RtspCamera) -> None:
    with pytest.raises(SourceError, match="has no stream at /nothing") as caught:
        open_source(camera.url("/nothing"), options()).open()
    assert caught.value.kind == "not_found"


@pytest.mark.rtsp
def test_damaged_pictures_are_flagged() -> None:
    with RtspCamera(width=480, height=320, corrupt=0.3) as camera:
        pictures = read_some(camera.url(), 40)
    assert any(picture.smeared for picture in pictures)


@pytest.mark.rtsp
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_pictures_that_lack_packets_are_smeared_until_a_key_frame_and_others_never(
    tmp_path: Path, transport: str
) -> None:
    """Real RTP packets are lost on their way by UDP, every other three seconds; by TCP none are."""
    clip = raw_h264(people_walking(), tmp_path, seconds=3, fps=10)
    whole = read_all(open_source(str(clip), options()))
    with RtspCamera(clip=clip, fps=10, lose=0.1 if transport == "udp" else 0.0) as camera:
        pictures = read_some(camera.url("/clip"), 60, transport=transport)
    if transport == "tcp":
        assert not any(picture.smeared for picture in pictures)
        return
    assert {picture.smeared for picture in pictures} == {False, True}
    for picture in pictures:
        if not (picture.damaged or picture.smeared):
            off = min(np.abs(picture.image.astype(int) - one.image).mean() for one in whole)
            assert off == 0.0, "what is not called smeared is as it was sent"
    assert not any(picture.smeared for picture in whole)


@pytest.mark.rtsp
def test_killed_camera_comes_back_with_a_new_epoch(camera: RtspCamera) -> None:
    reader = reader_of(camera)
    reader.start()
    before = take_until(reader, lambda captured: captured.seq > 5)
    camera.kill()
    wait_for_state(reader, "down")
    camera.start()
    after = take_until(reader, lambda captured: captured.epoch > before.epoch)
    assert after.epoch == before.epoch + 1
    assert after.seq > before.seq
    assert reader.stop(10.0)
    events = [event.split(":")[0] for event in reader.pop_events()]
    assert events[0] == events[-1] == "up"
    assert "down" in events


@pytest.mark.rtsp
def test_frozen_camera_is_noticed_and_comes_back(camera: RtspCamera) -> None:
    reader = reader_of(camera)
    reader.start()
    before = take_until(reader, lambda captured: captured.seq > 5)
    camera.freeze()
    wait_for_state(reader, "down")
    # Where its last packets came late they hold no whole picture, and that is what is reported.
    reasons = ("no answer within 1 s", "no frame for 1 s")
    assert any(words in event for event in reader.pop_events() for words in reasons)
    camera.thaw()
    assert take_until(reader, lambda captured: captured.epoch > before.epoch).epoch == before.epoch + 1
    assert reader.stop(10.0)


@pytest.mark.rtsp
def test_camera_that_returns_with_another_size(camera: RtspCamera) -> None:
    reader = reader_of(camera)
    reader.start()
    before = take_until(reader, lambda captured: captured.seq > 5)
    camera.restart(width=624, height=352)
    after = take_until(reader, lambda captured: captured.epoch > before.epoch)
    assert after.picture.image.shape == (352, 624, 3)
    assert after.epoch == before.epoch + 1
    assert reader.stop(10.0)


@pytest.mark.rtsp
def test_a_slow_caller_never_falls_behind(camera: RtspCamera) -> None:
    reader = reader_of(camera, ring_frames=1)
    reader.start()
    take_until(reader, lambda captured: captured.seq > 5)
    behind = []
    for _ in range(10):
        time.sleep(0.25)
        captured = reader.take(5.0)
        assert captured is not None
        # Read from the pixels: what was shown in front of the camera, against now.
        behind.append(now_ns() / 1e6 - clock_ms(captured.picture.image))
    # Ten turns at a sixth of the camera's rate: a queue would be two seconds behind by now.
    assert behind[-1] < 1000
    assert reader.dropped["capture.overflow"] > 10
    assert reader.stop(10.0)


@contextlib.contextmanager
def one_key_frame() -> Iterator[str]:
    """A web camera whose first picture is its only key frame: whoever misses that one sees nothing."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/live.ts"
    picture = ("-re", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25,noise=alls=40")
    codec = ("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "9999", "-b:v", "8M")
    command = [need_command("ffmpeg", "ffmpeg"), "-loglevel", "error", *picture, *codec]
    with subprocess.Popen(
        [*command, "-f", "mpegts", "-listen", "1", url], stderr=subprocess.DEVNULL
    ) as server:
        try:
            until(lambda: (port, "LISTEN") in _ports(server.pid), "the web camera listens", START_S)
            yield url
        finally:
            server.kill()


def _ports(pid: int) -> list[tuple[int, str]]:
    return [(link.laddr.port, link.status) for link in psutil.Process(pid).net_connections("tcp")]


def test_the_first_key_frame_is_not_lost_while_the_stream_is_probed() -> None:
    with one_key_frame() as url:
        assert [picture.image.shape for picture in read_some(url, 3)] == [(720, 1280, 3)] * 3


def read_until_lost(url: str) -> tuple[list[Picture], SourceError]:
    pictures: list[Picture] = []
    with open_source(url, options(read_timeout_s=0.5)) as source, pytest.raises(SourceError) as caught:
        pictures.extend(iter(source.read, None))  # type: ignore[arg-type]
    return pictures, caught.value


def test_sound_without_pictures_is_a_lost_camera() -> None:
    with video_then_only_sound(video_s=2.0) as url:
        pictures, error = read_until_lost(url)
        assert {picture.image.shape for picture in pictures} == {(240, 320, 3)}
        assert error.kind == "lost"
        assert "sends data, but no frame for 0.5 s" in str(error)


def test_data_that_gives_no_pictures_is_a_lost_camera() -> None:
    with video_then_noise(pictures=50) as url:
        pictures, error = read_until_lost(url)
        assert len([picture for picture in pictures if not picture.damaged]) > 5
        assert any(picture.damaged and not picture.image.size for picture in pictures)
        assert error.kind == "lost"
        assert "sends data, but no frame for 0.5 s" in str(error)


def test_a_blind_camera_is_opened_again() -> None:
    with video_then_only_sound(video_s=2.0) as url:
        reader = Reader(
            lambda: open_source(url, options(read_timeout_s=0.5, open_timeout_s=1.0)),
            policy="newest",
            backoff=Backoff([0.1]),
            ring_frames=2,
            retry_first_open=False,
        )
        reader.start()
        wait_for_state(reader, "up")
        wait_for_state(reader, "down")
        assert reader.stop(10.0)
    assert any("but no frame" in event for event in reader.pop_events())


def test_refused_connection() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(SourceError) as caught:
            open_source(f"rtsp://127.0.0.1:{bound.getsockname()[1]}/x", options()).open()
    assert caught.value.kind == "refused"


def test_unknown_host() -> None:
    with pytest.raises(SourceError, match=r"host no-such-camera\.invalid can't be found"):
        open_source("rtsp://no-such-camera.invalid/x", options()).open()


def test_host_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(SourceError, match=r"no answer within 0\.5 s") as caught:
            open_source(url, options(open_timeout_s=0.5)).open()
    assert caught.value.kind == "timeout"


def test_host_that_is_no_camera() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"220 mail server ready\r\n" * 50)

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(SourceError):
            open_source(f"http://127.0.0.1:{server.getsockname()[1]}/x", options(open_timeout_s=2.0)).open()
        thread.join()
