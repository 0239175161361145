import http.server
import struct
import subprocess
import threading
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.video.open import open_source
from pipeline.video.source import SourceError
from tests.support import hand_held, need_command, people_walking
from tests.video.clips import options, read_all, write_sound, write_video


def ffprobe_count(path: Path) -> int:
    ask = ("-v", "quiet", "-select_streams", "v:0", "-count_frames", "-of", "csv=p=0")
    command = [need_command("ffprobe", "ffmpeg"), *ask, "-show_entries", "stream=nb_read_frames", str(path)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().strip(","))


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv"])
def test_every_picture_in_order_with_its_time(tmp_path: Path, name: str) -> None:
    pictures = read_all(open_source(str(write_video(tmp_path / name, frames=30, fps=20)), options()))
    assert len(pictures) == 30
    brightness = [int(picture.image[-1, -1].mean()) for picture in pictures]
    assert brightness == sorted(brightness)
    assert brightness[-1] > brightness[0] + 100
    times = [picture.pts_ns for picture in pictures]
    assert np.diff(np.array(times, np.int64)) == pytest.approx(50_000_000, abs=1_000_000)
    assert all(picture.image.flags.c_contiguous and picture.image.dtype == np.uint8 for picture in pictures)


def test_every_frame_of_a_surveillance_clip() -> None:
    clip = people_walking()
    pictures = read_all(open_source(str(clip), options()))
    assert len(pictures) == ffprobe_count(clip) == 795
    assert pictures[0].image.shape == (576, 768, 3)
    assert not any(picture.damaged for picture in pictures)


def test_every_frame_of_a_hand_held_clip(tmp_path: Path) -> None:
    clip = hand_held(tmp_path)
    assert len(read_all(open_source(str(clip), options()))) == ffprobe_count(clip)


def test_odd_sizes(tmp_path: Path) -> None:
    pictures = read_all(open_source(str(write_video(tmp_path / "odd.mkv", width=67, height=51)), options()))
    assert {picture.image.shape for picture in pictures} == {(51, 67, 3)}


def test_colours_are_blue_green_red(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "red.bmp"), np.full((32, 32, 3), (0, 0, 255), np.uint8))
    (picture,) = read_all(open_source(str(tmp_path / "red.bmp"), options()))
    assert picture.image[16, 16].tolist() == pytest.approx([0, 0, 255], abs=3)


def test_a_clip_filmed_upright_is_shown_upright(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "phone.mp4", width=64, height=48)
    data = bytearray(clip.read_bytes())
    matrix = data.index(b"tkhd") + 44
    # A quarter turn to the right, as a phone writes it into the header of the track.
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 48 << 16, 0, 0x40000000)
    clip.write_bytes(data)
    shown = tmp_path / "shown.png"
    ffmpeg = [need_command("ffmpeg", "ffmpeg"), "-loglevel", "error", "-i", str(clip)]
    subprocess.run([*ffmpeg, "-frames:v", "1", str(shown)], check=True)
    first = read_all(open_source(str(clip), options()))[0]
    assert first.image.shape == (64, 48, 3)
    assert np.abs(first.image.astype(int) - cv2.imread(str(shown))).mean() < 3


def test_truncated_file_gives_what_is_left(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", frames=60)
    part = tmp_path / "part.mp4"
    part.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    pictures = read_all(open_source(str(part), options()))
    good = [picture for picture in pictures if not picture.damaged]
    assert 5 < len(good) < 60
    assert len(good) <= ffprobe_count(part) <= len(pictures)


def test_damaged_pictures_are_flagged_and_all_accounted_for(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=100, width=320, height=240, codec="libx264")
    data = bytearray(clip.read_bytes())
    start = data.index(b"mdat") + len(data) // 5
    for place in np.random.default_rng(0).integers(start, len(data), 30):
        data[place] ^= 0xFF
    clip.write_bytes(data)
    pictures = read_all(open_source(str(clip), options()))
    assert any(picture.damaged for picture in pictures)
    assert not pictures[0].damaged
    assert len(pictures) == 100


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("empty.mp4", b"", "empty"),
        ("noise.mp4", b"not a video " * 500, "not_video"),
        ("notes.txt", b"hello world\n" * 50, "not_video"),
        ("broken.png", b"\x89PNG\r\n" + b"x" * 300, "not_video"),
        (None, b"", "not_found"),
    ],
)
def test_what_is_not_a_video_is_refused_in_one_line(
    tmp_path: Path, name: str | None, content: bytes, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / (name or "missing.mp4")
    if name:
        path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        read_all(open_source(str(path), options()))
    assert caught.value.kind == kind
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_sound_only(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no video track"):
        open_source(str(write_sound(tmp_path / "song.wav")), options()).open()


def test_file_with_a_colon_in_its_name(tmp_path: Path) -> None:
    assert len(read_all(open_source(str(write_video(tmp_path / "a:b.mp4", frames=5)), options()))) == 5


def test_file_on_a_web_server(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", frames=15)
    handler = partial(_QuietHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        try:
            assert len(read_all(open_source(f"{address}/clip.mp4", options()))) == 15
            with pytest.raises(SourceError, match="has no stream at /none"):
                open_source(f"{address}/none.mp4", options()).open()
        finally:
            server.shutdown()
            thread.join()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_times_go_forward_even_where_the_file_carries_those_of_decoding(tmp_path: Path) -> None:
    with open_source(str(hand_held(tmp_path)), options()) as source:
        pictures = [source.read() for _ in range(60)]
    times = [picture.pts_ns for picture in pictures if picture and picture.pts_ns is not None]
    assert len(times) == 60
    assert times == sorted(set(times))
    assert times[-1] - times[0] == pytest.approx(59 / 29.97 * 1e9, rel=0.1)
