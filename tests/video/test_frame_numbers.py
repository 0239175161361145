"""Real H.264 without parts that were lost: which pictures differ, and which are called smeared."""

import re
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipeline.base.frame import Image
from pipeline.video.ffmpeg import PictureDecoder
from pipeline.video.frame_numbers import FrameNumbers
from pipeline.video.source import Picture

FRAMES, GOP = 40, 10
KEY, SLICE = 5, 1


def encoded(path: Path, **options: str) -> Path:
    """A scene whose noise moves on, with a key frame each ten pictures; the name says the container."""
    noise = np.random.default_rng(0).integers(0, 256, (36, 96, 3), np.uint8)
    scene = cv2.resize(noise, (384, 144), interpolation=cv2.INTER_CUBIC)
    with av.open(path, "w") as film:
        track = film.add_stream("libx264", rate=25, options={"bf": "0", "threads": "1", **options})
        track.width, track.height, track.pix_fmt, track.gop_size = 192, 144, "yuv420p", GOP
        for number in range(FRAMES):
            image: Image = np.ascontiguousarray(scene[:, 4 * number : 4 * number + 192], np.uint8)
            film.mux(track.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        film.mux(track.encode(None))
    return path


def without(film: Path, picture: int, parts: slice) -> Path:
    """The same Annex B stream without some slices of one picture."""
    units = re.split(b"\0?\0\0\x01", film.read_bytes())[1:]
    kinds = [unit[0] & 31 for unit in units]
    begins = [n for n, unit in enumerate(units) if kinds[n] in (KEY, SLICE) and unit[1] & 0x80]
    end = begins[picture + 1] if picture + 1 < len(begins) else len(units)
    its = [n for n in range(begins[picture], end) if kinds[n] in (KEY, SLICE)]
    lost = set(its[parts])
    assert lost
    cut = film.with_name(f"cut_{film.name}")
    cut.write_bytes(b"".join(b"\0\0\0\x01" + unit for n, unit in enumerate(units) if n not in lost))
    return cut


def decoded(film: Path, *, low_delay: bool = True) -> list[Picture]:
    with av.open(film) as container:
        decoder = PictureDecoder(container, low_delay=low_delay)
        return list(iter(decoder.next, None))


def smeared(pictures: list[Picture]) -> list[int]:
    return [number for number, picture in enumerate(pictures) if picture.smeared or picture.damaged]


def differing(pictures: list[Picture], whole: list[Picture]) -> list[int]:
    """Those that are none of the pictures that were encoded."""
    return [
        number
        for number, picture in enumerate(pictures)
        if not any(np.array_equal(picture.image, one.image) for one in whole)
    ]


WHOLE, LAST = slice(None), slice(-1, None)


@pytest.mark.parametrize(
    ("slices", "picture", "parts"),
    [
        ("1", 13, WHOLE),
        ("4", 13, WHOLE),
        ("4", 13, LAST),
        ("4", 13, slice(1, 2)),
        ("1", 20, WHOLE),
        ("4", 20, LAST),
    ],
)
def test_pictures_are_smeared_from_what_is_lost_to_the_next_key_frame(
    tmp_path: Path, slices: str, picture: int, parts: slice
) -> None:
    film = encoded(tmp_path / "film.h264", slices=slices)
    whole = decoded(film)
    assert smeared(whole) == []
    pictures = decoded(without(film, picture, parts))
    found = smeared(pictures)
    assert found == list(range(found[0], found[-1] + 1))
    assert set(differing(pictures, whole)) <= set(found), "nothing smeared goes unsaid"
    assert found[0] == picture
    assert whole[-1].image.tobytes() == pictures[-1].image.tobytes(), "the next key frame ends it"


@pytest.mark.parametrize(
    "options",
    [
        {"bf": "3", "b-pyramid": "normal"},
        {"refs": "4"},
        {"profile": "baseline"},
        {"profile": "high444"},
        {"x264-params": "cqm=jvt"},
        {"x264-params": "interlaced=1"},
        {"intra-refresh": "1"},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["film.h264", "film.mp4", "film.ts"])
def test_a_whole_stream_is_never_smeared(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    film = encoded(tmp_path / name, **options)
    for low_delay in (True, False):
        pictures = decoded(film, low_delay=low_delay)
        assert len(pictures) == FRAMES
        assert smeared(pictures) == []


def test_packets_of_a_file_that_are_lost_are_seen_by_the_numbers_too(tmp_path: Path) -> None:
    film = encoded(tmp_path / "film.mp4")
    with av.open(film) as container:
        numbers = FrameNumbers(container.streams.video[0].codec_context.extradata)
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    gaps = [numbers.is_gap_before(packet) for number, packet in enumerate(packets) if number != 13]
    assert [number for number, gap in enumerate(gaps) if gap] == [13]


@pytest.mark.parametrize(
    "extradata", [None, b"", b"\x01", b"\x01" * 9, b"\0\0\x01\x67", b"\0\0\x01\x67\x64\0"]
)
def test_what_is_cut_off_says_nothing(extradata: bytes | None) -> None:
    numbers = FrameNumbers(extradata)
    for packet in (b"", b"\0\0\x01", b"\0\0\x01\x41", b"\0\0\x01\x67", bytes(range(256))):
        assert not numbers.is_gap_before(packet)
