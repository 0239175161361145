"""Clips whose frames tell their number, and data sets of them."""

from collections.abc import Callable, Iterable
from pathlib import Path

import av
import numpy as np
import torch

from pipeline.base.frame import Image
from pipeline.training.recorded.open_clips import Recorded, open_recorded
from pipeline.training.recorded.recorded_clips import RecordedClips

SIZE = 32
CPU = torch.device("cpu")
LEVEL = 8  # grey levels between two neighbouring frames


def grey(frames: int, first: int = 20) -> Iterable[Image]:
    """Frames that tell their number by their brightness."""
    for number in range(frames):
        yield np.full((48, 64, 3), first + LEVEL * number, np.uint8)


def write(path: Path, images: Iterable[Image], fps: int = 25) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def folder(root: Path, clips: int = 4, frames: int = 12) -> Path:
    for label in ("in", "out"):
        for number in range(clips):
            write(root / label / f"{number}.mkv", grey(frames))
    return root


def opened(
    path: Path, printed: list[str] | None = None, labels: tuple[str, ...] | None = None, **options: object
) -> Recorded:
    arguments: dict[str, object] = {
        "num_past": 2,
        "size_px": SIZE,
        "spacing_ms": 0.0,
        "validation_share": 0.25,
        "seed": 0,
        "device": CPU,
        "augment": False,
    }
    notify: Callable[[str], None] = print if printed is None else printed.append
    return open_recorded(path, labels=labels, notify=notify, **(arguments | options))  # type: ignore[arg-type]


def numbers(source: RecordedClips) -> list[list[int]]:
    """The frames of all windows in order, by number."""
    windows = []
    for clips in source.evaluate_batches(5):
        levels = clips.frames.mean(dim=(-1, -2, -3)) * 255
        windows += ((levels - 20) / LEVEL).round().int().tolist()
    return windows
