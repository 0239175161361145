"""Films for whole runs: cut from real ones, or made with what real ones do at worst."""

from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np

from tests.video.clips import numbered

_ENCODED = 100


def camera_film(path: Path, *, frames: int, width: int = 320, height: int = 240, fps: int = 25) -> Path:
    """A film that is as long as a test may take: its first pictures again and again, encoded only once."""
    with av.open(path, "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base, stream.bit_rate = Fraction(1, fps), 2_000_000
        images = islice(numbered(frames, width, height), _ENCODED)
        packets = [
            packet for image in images for packet in stream.encode(av.VideoFrame.from_ndarray(image, "bgr24"))
        ]
        packets += stream.encode(None)
        for number in range(frames):
            packet = av.Packet(bytes(packets[number % len(packets)]))
            packet.stream, packet.time_base, packet.duration = stream, Fraction(1, fps), 1
            packet.pts = packet.dts = number
            packet.is_keyframe = packets[number % len(packets)].is_keyframe
            container.mux(packet)
    return path


def cut(film: Path, folder: Path, frames: int) -> Path:
    """The first frames of a film, not encoded again."""
    target = folder / f"{film.stem}{film.suffix}"
    with av.open(film) as source, av.open(target, "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        packets = (packet for packet in source.demux(video=0) if packet.size)
        for _, packet in zip(range(frames), packets, strict=False):
            packet.stream = stream
            container.mux(packet)
    return target


def film_with_gap(path: Path, *, frames: int, gap_at: int, gap_s: float, fps: int = 25) -> Path:
    """A film whose clock leaps forward before one of its frames, as where a recording was interrupted."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, fps)
        for number, image in enumerate(numbered(frames, 320, 240)):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = number + (round(gap_s * fps) if number >= gap_at else 0)
            frame.time_base = stream.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def pictures_that_grow(folder: Path, *, frames: int, grow_at: int) -> Path:
    """A folder of images that have another size from one of them on."""
    folder.mkdir()
    for number in range(frames):
        side = 200 if number < grow_at else 280
        image = np.full((side, side, 3), 40 + number, np.uint8)
        assert cv2.imwrite(str(folder / f"picture{number}.png"), image)
    return folder


def count(film: Path) -> int:
    """The number of frames that can be decoded."""
    with av.open(film) as container:
        return sum(1 for _ in container.decode(video=0))
