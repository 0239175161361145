"""Opens labelled clips: video files or folders of images."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pipeline.training.recorded.clip_index import ClipEntry, Split, list_clips
from pipeline.training.recorded.decode import DecodedClip, decode_clips
from pipeline.training.recorded.frame_store import FrameStore
from pipeline.training.recorded.recorded_clips import RecordedClips, Windows
from pipeline.training.recorded.split import shared_names, split_clips
from pipeline.training.recorded.time_windows import windows_by_time

_PURPOSES: dict[Split, str] = {"train": "for training", "val": "for validation", "test": "for the test"}


class Recorded(NamedTuple):
    """The parts of a data set.

    Attributes:
        train: Clips to train on.
        val: Clips that select the weights.
        test: Clips for the final evaluation; None if the data has no test part.
    """

    train: RecordedClips
    val: RecordedClips
    test: RecordedClips | None


def open_recorded(
    path: Path,
    *,
    num_past: int,
    size_px: int,
    spacing_ms: float,
    validation_share: float,
    seed: int,
    device: torch.device,
    labels: tuple[str, ...] | None,
    augment: bool,
    notify: Callable[[str], None],
    mirror: bool = False,
    memory_mb: int = 2048,
) -> Recorded:
    """Reads a data set of labelled clips; see `list_clips` for its layout.

    Windows are selected as in the live pipeline: with a spacing, the frames nearest to the target times,
    otherwise consecutive frames. They never cross clip boundaries.

    Args:
        path: Folder or CSV file.
        num_past: Past frames in a window, ``T``.
        size_px: Side of the square frames.
        spacing_ms: Time between the frames of a window; 0 = consecutive frames.
        validation_share: Share of the clips of each class for validation, if the data has no split.
        seed: Random seed of the split and the order.
        device: Device of the batches.
        labels: Required names of the classes, in order; None uses those of the data.
        augment: Augment the training clips.
        notify: Receives messages about skipped and used clips.
        mirror: Include horizontal flips; only if that can't change a class.
        memory_mb: Memory limit for decoded frames, in MiB; the rest goes to a temporary file.

    Returns:
        The parts of the data's own split, or of a random split.

    Raises:
        ValueError: The data is invalid; the message is one line.
    """
    entries = list_clips(path, notify)
    found = _classes(path, entries, labels)
    store = FrameStore(size_px, memory_mb)
    usable = _read(path, entries, store, num_past, spacing_ms, notify)
    kept = Counter(clip.entry.label for clip, _ in usable)
    parts = _parts(entries, [clip.entry for clip, _ in usable], validation_share, seed)
    _report_shared_files(usable, parts, notify)
    if not any(entry.split == "val" for entry in entries):
        drawn = [(clip.entry, part) for (clip, _), part in zip(usable, parts, strict=True) if part != "test"]
        _report_shared_names(drawn, notify)

    def source(part: Split) -> RecordedClips:
        chosen = [clip for clip, p in zip(usable, parts, strict=True) if p == part]
        notify(f"clips {_PURPOSES[part]}: {_counted(chosen, found)}")
        return RecordedClips(
            labels or found,
            [(clip.entry.label, windows) for clip, windows in chosen],
            store,
            names=[clip.entry.key(path) for clip, _ in chosen],
            seed=seed,
            device=device,
            augment=augment and part == "train",
            mirror=mirror,
        )

    if max(kept.values()) >= 2 * min(kept.values()):
        (most, many), (fewest, few) = kept.most_common()[0], kept.most_common()[-1]
        notify(f"unbalanced: {many} clips of {most}, {few} of {fewest}; classes are sampled equally often")
    return Recorded(source("train"), source("val"), source("test") if "test" in parts else None)


def open_chosen(
    path: Path,
    choose: Callable[[Sequence[ClipEntry]], Sequence[ClipEntry]],
    *,
    num_past: int,
    size_px: int,
    spacing_ms: float,
    device: torch.device,
    labels: tuple[str, ...],
    notify: Callable[[str], None],
    memory_mb: int = 2048,
) -> RecordedClips:
    """Reads the part of a data set to score; see `open_recorded`.

    Args:
        path: Folder or CSV file.
        choose: Selects the clips to read from all clips of the data.
        num_past: Past frames in a window, ``T``.
        size_px: Side of the square frames.
        spacing_ms: Time between the frames of a window; 0 = consecutive frames.
        device: Device of the batches.
        labels: Required names of the classes, in order.
        notify: Receives messages about skipped and used clips.
        memory_mb: Memory limit for decoded frames, in MiB; the rest goes to a temporary file.

    Raises:
        ValueError: The data is invalid; the message is one line.
    """
    listed = list_clips(path, notify)
    _classes(path, listed, labels)
    store = FrameStore(size_px, memory_mb)
    usable = _read(path, choose(listed), store, num_past, spacing_ms, notify)
    notify(f"clips to score: {_counted(usable, labels)}")
    chosen = [(clip.entry.label, windows) for clip, windows in usable]
    names = [clip.entry.key(path) for clip, _ in usable]
    return RecordedClips(labels, chosen, store, names=names, seed=0, device=device, augment=False)


def _classes(path: Path, entries: Sequence[ClipEntry], labels: tuple[str, ...] | None) -> tuple[str, ...]:
    """Names of the classes, checked against ``labels`` if given."""
    found = tuple(sorted({entry.label for entry in entries}))
    if labels is not None and set(labels) != set(found):
        raise ValueError(
            f"{path} has the classes {', '.join(found)}; the checkpoint has {', '.join(labels)}: "
            "rename or add folders, or train a new checkpoint on these classes"
        )
    return found


def _read(
    path: Path,
    entries: Sequence[ClipEntry],
    store: FrameStore,
    num_past: int,
    spacing_ms: float,
    notify: Callable[[str], None],
) -> list[tuple[DecodedClip, Windows]]:
    """Decodes clips into the store; returns the usable ones with their windows."""
    labels = sorted({entry.label for entry in entries})
    notify(f"reading {len(entries)} clips of {len(labels)} classes ...")
    with store:
        decoded = decode_clips(entries, store, notify)
    if store.file_mb:
        notify(f"{store.file_mb:.0f} MB of frames are in a temporary file")
    usable = _cut(decoded, num_past, spacing_ms, notify)
    if len(usable) < len(entries):
        notify(f"skipped {len(entries) - len(usable)} of {len(entries)} clips")
    kept = {clip.entry.label for clip, _ in usable}
    for label in labels:
        if label not in kept:
            raise ValueError(f"{path}: class {label} has no usable clip")
    return usable


def _counted(usable: Sequence[tuple[DecodedClip, Windows]], labels: Sequence[str]) -> str:
    clips = Counter(clip.entry.label for clip, _ in usable)
    windows = {name: sum(len(w) for clip, w in usable if clip.entry.label == name) for name in labels}
    return ", ".join(f"{name} {clips[name]} ({windows[name]} windows)" for name in labels)


def _cut(
    clips: Sequence[DecodedClip], num_past: int, spacing_ms: float, notify: Callable[[str], None]
) -> list[tuple[DecodedClip, Windows]]:
    """Clips with at least one window, and their windows."""
    usable = []
    slow = 0
    for clip in clips:
        picked = windows_by_time(clip.times_ns, num_past, spacing_ms)
        if len(picked):
            usable.append((clip, np.asarray(clip.frames, np.int64)[picked]))
            interval_ms = (clip.times_ns[-1] - clip.times_ns[0]) / max(len(clip.times_ns) - 1, 1) / 1e6
            slow += interval_ms > 1.5 * spacing_ms > 0
            continue
        length_ms = (clip.times_ns[-1] - clip.times_ns[0]) / 1e6 if clip.times_ns else 0.0
        notify(
            f"skipped, too short: {clip.entry.name} has {len(clip.frames)} frames over {length_ms:.0f} ms, "
            f"a window needs {num_past + 1} frames {spacing_ms:g} ms apart"
        )
    if slow:
        notify(f"{slow} clips have less than one frame per {spacing_ms:g} ms: using consecutive frames")
    return usable


def _parts(
    listed: Sequence[ClipEntry], usable: Sequence[ClipEntry], share: float, seed: int
) -> Sequence[Split]:
    """The parts of the usable clips.

    The split is drawn from all listed clips, because an evaluation with another spacing, which can use other
    clips, must not score training clips. If a class then has no clip for training or validation, the split
    is drawn again from the usable clips.
    """
    drawn = dict(zip(listed, split_clips(listed, share, seed), strict=True))
    parts = [drawn[entry] for entry in usable]
    found = {(entry.label, part) for entry, part in zip(usable, parts, strict=True)}
    if all((entry.label, part) in found for entry in usable for part in ("train", "val")):
        return parts
    return split_clips(usable, share, seed)


def _report_shared_files(
    usable: Sequence[tuple[DecodedClip, Windows]], parts: Sequence[Split], notify: Callable[[str], None]
) -> None:
    learned = {c.entry.path for (c, _), part in zip(usable, parts, strict=True) if part == "train"}
    others = {c.entry.path for (c, _), part in zip(usable, parts, strict=True) if part != "train"}
    if shared := sorted(learned & others):
        notify(
            f"{len(shared)} files, such as {shared[0]}, have parts in both training and validation: the "
            "validation score will be too optimistic; use a split column to separate them"
        )


def _report_shared_names(drawn: Sequence[tuple[ClipEntry, Split]], notify: Callable[[str], None]) -> None:
    """Reports base names that occur in several classes, and those whose clips the split separates."""
    shared = shared_names([entry for entry, _ in drawn])
    apart = [name for name, numbers in shared.items() if len({drawn[number][1] for number in numbers}) > 1]
    if shared:
        notify(
            f"{len(shared)} base names, such as {next(iter(shared))}, occur in several classes: such clips "
            "may show one recording, so those with the same base name are on the same side of the split"
        )
    if apart:
        notify(
            f"{len(apart)} of these base names, such as {apart[0]}, are on both sides, because each class "
            "needs a validation clip: if they show one recording, the validation score will be too optimistic"
        )
