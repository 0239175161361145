"""Decodes and resizes the frames of clips, once each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.base.config import load_config
from pipeline.base.stretch import stretch
from pipeline.training.recorded.clip_index import ClipEntry
from pipeline.training.recorded.frame_store import FrameStore
from pipeline.video.source import Source, SourceError, SourceOptions

_USUAL_FPS = 25.0


@dataclass(frozen=True, slots=True)
class DecodedClip:
    """A clip whose frames are in a `FrameStore`.

    Attributes:
        entry: The clip.
        frames: Numbers of its frames in the store, in order.
        times_ns: Time of each frame, in ns after the first frame of the file.
    """

    entry: ClipEntry
    frames: list[int] = field(default_factory=list)
    times_ns: list[int] = field(default_factory=list)


def decode_clips(
    entries: Sequence[ClipEntry], store: FrameStore, notify: Callable[[str], None]
) -> list[DecodedClip]:
    """Decodes clips into the store; parts of one file share its frames.

    Damaged frames are skipped, and so are clips that can't be read, with a message each.

    Args:
        entries: The clips to decode.
        store: Receives the frames.
        notify: Receives messages about skipped clips and frames.

    Returns:
        The clips that could be read, in the order of ``entries``; some may have no frames.

    Raises:
        ValueError: No space is left for the frames.
    """
    options = SourceOptions.from_config(load_config().capture)
    by_path: dict[Path, list[DecodedClip]] = {}
    for entry in entries:
        by_path.setdefault(entry.path, []).append(DecodedClip(entry))
    unreadable: set[Path] = set()
    for path, parts in by_path.items():
        try:
            damaged = _decode_file(_source(path, options), parts, store)
        except SourceError as error:
            unreadable.add(path)
            why = error.advice.partition("; ")[0]  # only the reason; what follows is for live sources
            notify(f"skipped, can't be read: {error.source}: {why}")
            continue
        if damaged:
            notify(f"{path}: skipped {damaged} damaged frames")
    cursor = {path: iter(parts) for path, parts in by_path.items()}
    clips = [next(cursor[entry.path]) for entry in entries]
    return [clip for clip in clips if clip.entry.path not in unreadable]


def _source(path: Path, options: SourceOptions) -> Source:
    from pipeline.video.images import ImageFolderSource
    from pipeline.video.video_file import FileSource

    return ImageFolderSource(str(path), options) if path.is_dir() else FileSource(str(path), options)


def _decode_file(source: Source, parts: Sequence[DecodedClip], store: FrameStore) -> int:
    """Reads up to the end of the last part; returns the number of damaged frames."""
    last_s = max(part.entry.end_s for part in parts)
    first_ns: int | None = None
    damaged = count = 0
    with source:
        interval_ns = round(1e9 / (source.fps or _USUAL_FPS))
        while (picture := source.read()) is not None:
            time_ns = count * interval_ns if picture.pts_ns is None else picture.pts_ns
            first_ns = time_ns if first_ns is None else first_ns
            time_ns -= first_ns
            count += 1
            if time_ns >= last_s * 1e9:
                break
            if picture.damaged or picture.smeared:
                damaged += 1
                continue
            takers = [p for p in parts if p.entry.start_s * 1e9 <= time_ns < p.entry.end_s * 1e9]
            if not takers:
                continue
            square = np.empty((store.size_px, store.size_px, 3), np.uint8)
            stretch(picture.image, square)
            number = store.add(square)
            for part in takers:
                part.frames.append(number)
                part.times_ns.append(time_ns)
    return damaged
