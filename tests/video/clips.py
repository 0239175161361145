"""Small files made on the spot, and options, for the tests of this room."""

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from pipeline.base.config import load_config
from pipeline.base.frame import Image
from pipeline.video.source import Picture, Source, SourceOptions


def options(**changes: Any) -> SourceOptions:
    """The default options, with changes."""
    return replace(SourceOptions.from_config(load_config().capture), **changes)


def numbered(frames: int, width: int, height: int) -> Iterable[Image]:
    """Grey pictures, each brighter than the one before, with a white block in the upper left corner."""
    for number in range(frames):
        image = np.full((height, width, 3), 20 + 180 * number // frames, np.uint8)
        image[: height // 3, : width // 3] = 255
        yield image


def write_video(
    path: Path, *, frames: int = 20, width: int = 64, height: int = 48, fps: int = 25, codec: str = "mpeg4"
) -> Path:
    """Encodes ``numbered`` pictures; the format follows the file's suffix."""
    options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(path, "w", options=options) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, fps)
        stream.bit_rate = 2_000_000
        for image in numbered(frames, width, height):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    """A file with a sound track only."""
    with av.open(path, "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    return path


def read_all(source: Source) -> list[Picture]:
    """Opens a source and reads it to its end."""
    with source:
        pictures = []
        while (picture := source.read()) is not None:
            pictures.append(picture)
        return pictures
