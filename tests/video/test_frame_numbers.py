"""Real H.264 without parts that were lost: which pictures differ, and which are called smeared."""

import re
from collections.abc import Iterable
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
KEY, SLICE, SEQUENCE, PICTURE = 5, 1, 7, 8
OTHER = {"refs": "16", "x264-params": "sps-id=1"}
PLAIN = {"refs": "1", "x264-params": "cabac=0:weightp=0:ref=1"}


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


def units_of(film: Path) -> list[bytes]:
    return [unit for unit in re.split(b"\0?\0\0\x01", film.read_bytes())[1:] if unit]


def written(path: Path, units: Iterable[bytes]) -> Path:
    path.write_bytes(b"".join(b"\0\0\0\x01" + unit for unit in units))
    return path


def two_in_turns(place: Path) -> Path:
    """A stream whose groups of pictures have parameters of their own in turns: numbers of 4 and of 5 bits."""
    one = units_of(encoded(place / "one.h264", refs="1"))
    other = units_of(encoded(place / "other.h264", **OTHER))
    known = [unit for units in (one, other) for unit in units if unit[0] & 31 in (SEQUENCE, PICTURE)]
    groups = [
        [unit for unit in units if unit[0] & 31 in (KEY, SLICE)][number * GOP : (number + 1) * GOP]
        for number in range(FRAMES // GOP)
        for units in (one, other)
    ]
    return written(place / "film.h264", [*known, *(unit for group in groups for unit in group)])


def bits_of(unit: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in unit[1:].replace(b"\0\0\3", b"\0\0"))


def unit_of(kind: int, bits: str) -> bytes:
    whole = bits + "0" * (-len(bits) % 8)
    data = bytes(int(whole[n : n + 8], 2) for n in range(0, len(whole), 8))
    return bytes([kind]) + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", data)


def golomb_ends(bits: str, place: int) -> int:
    zeros = bits.index("1", place) - place
    return place + 2 * zeros + 1


def that_begins_anew(film: Path, at: int) -> Path:
    """The same stream, in which one picture commands to forget all others and count from 0 again.

    Only plain pictures follow each other in it: each refers to the one before, and shows the same as ever.
    """
    units, number, since = units_of(film), 0, 0
    for n, unit in enumerate(units):
        if unit[0] & 31 == KEY:
            number, since = 0, 0
        if unit[0] & 31 != SLICE:
            continue
        number += 1
        bits = bits_of(unit)
        place = golomb_ends(bits, golomb_ends(bits, golomb_ends(bits, 0)))
        assert int(bits[place : place + 4], 2) == number % 16
        after = place + 4
        if number == at:
            assert bits[after : after + 3] == "000", "as many as usual, in their order, and no command"
            marking = "1" + "00110" + "1"
            units[n] = unit_of(unit[0], bits[: after + 2] + marking + bits[after + 3 :])
            since = at
        elif since:
            units[n] = unit_of(unit[0], f"{bits[:place]}{(number - since) % 16:04b}{bits[after:]}")
    return written(film.with_name("anew.h264"), units)


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
        {"bf": "3", "b-pyramid": "normal", "weightb": "1"},
        {"refs": "4", "weightp": "2"},
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


@pytest.mark.parametrize("lost", [None, 13, 25])
def test_parameters_of_two_lengths_are_kept_apart(tmp_path: Path, lost: int | None) -> None:
    film = two_in_turns(tmp_path)
    whole = decoded(film)
    assert len(whole) == 2 * FRAMES
    assert smeared(whole) == []
    if lost is not None:
        assert smeared(decoded(without(film, lost, WHOLE)))[0] == lost


@pytest.mark.parametrize("at", [1, 4, 7])
def test_a_picture_after_which_numbers_begin_anew_is_no_loss(tmp_path: Path, at: int) -> None:
    film = encoded(tmp_path / "film.h264", **PLAIN)
    whole, anew = decoded(film), decoded(that_begins_anew(film, at))
    assert [one.image.tobytes() for one in anew] == [one.image.tobytes() for one in whole]
    assert smeared(anew) == []
    cut = decoded(without(tmp_path / "anew.h264", at + 1, WHOLE))
    assert smeared(cut)[0] == at + 1, "what is lost right after it is found"


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
