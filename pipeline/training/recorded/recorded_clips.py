"""Learning from people's own clips: video files or image folders, with a class for each clip."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.training.recorded.augment import augment_clips
from pipeline.training.recorded.clip_index import ClipEntry, Split, list_clips, split_clips
from pipeline.training.recorded.decode import DecodedClip, decode_clips
from pipeline.training.recorded.frame_store import FrameStore
from pipeline.training.recorded.time_windows import windows_by_time
from pipeline.training.rendered.pictures import seeded
from pipeline.training.samples import Clips, normalise

Windows = npt.NDArray[np.int64]
"""Numbers of frames in the store, ``(windows, T + 1)``, oldest first."""


class RecordedClips:
    """Windows of recorded clips, as a `ClipSource`.

    Each batch holds the classes in equal parts, whatever their number of clips; within a class each clip,
    and within a clip each window, is as likely as any other.

    Attributes:
        labels: names of the classes.
        names: of the clips, see `ClipEntry.key`.
        seed: of the order of the batches and of their variations.
        step: batches made so far.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        clips: Sequence[tuple[str, Windows]],
        store: FrameStore,
        *,
        names: Sequence[str] = (),
        seed: int,
        device: torch.device,
        augment: bool,
        mirror: bool = False,
    ) -> None:
        """Takes windows whose frames are in the store.

        Args:
            labels: names of the classes; each has at least one clip.
            clips: label and windows of each clip, none without windows.
            store: holds the frames.
            names: of the clips.
            seed: of everything random here.
            device: where batches go.
            augment: vary the batches of ``clips``; `evaluate_batches` never does.
            mirror: let the variations flip left and right.
        """
        self.labels, self.names, self.seed, self.step = labels, tuple(names), seed, 0
        self._store, self._device, self._augment, self._mirror = store, device, augment, mirror
        self._all = [(labels.index(label), windows) for label, windows in clips]
        self._by_class = [[w for c, w in self._all if c == number] for number in range(len(labels))]

    def __len__(self) -> int:
        """Number of windows."""
        return sum(len(windows) for _, windows in self._all)

    def seek(self, step: int) -> None:
        """Goes on as if ``step`` batches had been made."""
        self.step = step

    @torch.no_grad()
    def clips(self, n: int) -> Clips:
        """The next batch of ``n`` random windows."""
        dice = np.random.default_rng((self.seed, self.step))
        # the odd places go to other classes in each batch
        classes = dice.permutation((np.arange(n) + dice.integers(len(self.labels))) % len(self.labels))
        rows = []
        for number in classes:
            of_class = self._by_class[number]
            windows = of_class[dice.integers(len(of_class))]
            rows.append(windows[dice.integers(len(windows))])
        frames = self._frames(np.stack(rows))
        if self._augment:
            generator = seeded(self._device, self.seed, 4, self.step)
            frames = augment_clips(frames, generator, mirror=self._mirror)
        self.step += 1
        return Clips(normalise(frames), torch.from_numpy(classes).to(self._device))

    def evaluate_batches(self, n: int, per_clip: int = 0) -> Iterator[Clips]:
        """Goes once over the windows, clip after clip, as they are.

        Args:
            n: windows in a batch; the last one may have fewer.
            per_clip: at most so many windows of each clip, evenly spread over it; 0 = all.
        """
        rows, classes, numbers = [], [], []
        for number, (label, windows) in enumerate(self._all):
            count = min(per_clip or len(windows), len(windows))
            rows.append(windows[np.linspace(0, len(windows) - 1, count).round().astype(int)])
            classes += [label] * count
            numbers += [number] * count
        order = np.concatenate(rows)
        for start in range(0, len(order), n):
            part = slice(start, start + n)
            frames = normalise(self._frames(order[part]))
            labels, of_clips = (torch.tensor(x[part], device=self._device) for x in (classes, numbers))
            yield Clips(frames, labels, numbers=of_clips)

    def _frames(self, rows: Windows) -> Tensor:
        """Frames ``(n, T + 1, 3, size, size)`` between 0 and 1."""
        pixels = np.stack([self._store[number] for number in rows.ravel().tolist()])
        on_device = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2)
        return on_device.float().div_(255).view(*rows.shape, *on_device.shape[1:])


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
    say: Callable[[str], None],
    mirror: bool = False,
    memory_mb: int = 2048,
) -> tuple[RecordedClips, RecordedClips]:
    """Reads a data set of labelled clips; see `list_clips` for its form.

    Windows are picked as the live pipeline picks them: with a spacing, the frames nearest to that far back,
    else consecutive ones. They never leave their clip.

    Args:
        path: folder or CSV file.
        num_past: past frames in a window, ``T``.
        size_px: side of the square frames.
        spacing_ms: time between the frames of a window; 0 = consecutive frames.
        validation_share: part of the clips of each class that is never trained on.
        seed: of the split and of the order.
        device: where batches go.
        labels: names of the classes in the order wanted, which the data must have; None takes the data's.
        augment: vary the training clips.
        say: takes lines for people: what was skipped, and what there is.
        mirror: let the variations flip left and right; only where that can't change a class.
        memory_mb: most memory for decoded frames, in MiB; the rest goes to a temporary file.

    Returns:
        The clips to train on, and those for validation.

    Raises:
        ValueError: a mistake in the data, in one line.
    """
    entries = list_clips(path, say)
    found = _classes(path, entries, labels)
    store = FrameStore(size_px, memory_mb)
    usable = _read(path, entries, store, num_past, spacing_ms, say)
    kept = Counter(clip.entry.label for clip, _ in usable)
    sides = _sides(entries, [clip.entry for clip, _ in usable], validation_share, seed)
    _tell_shared_files(usable, sides, say)

    def source(side: str) -> RecordedClips:
        chosen = [clip for clip, s in zip(usable, sides, strict=True) if s == side]
        say(f"clips {'to train on' if side == 'train' else 'for validation'}: {_counted(chosen, found)}")
        return RecordedClips(
            labels or found,
            [(clip.entry.label, windows) for clip, windows in chosen],
            store,
            names=[clip.entry.key(path) for clip, _ in chosen],
            seed=seed,
            device=device,
            augment=augment and side == "train",
            mirror=mirror,
        )

    if max(kept.values()) >= 2 * min(kept.values()):
        (most, many), (fewest, few) = kept.most_common()[0], kept.most_common()[-1]
        say(f"uneven: {many} clips of {most}, {few} of {fewest}; all classes are drawn equally often")
    return source("train"), source("val")


def open_chosen(
    path: Path,
    choose: Callable[[Sequence[ClipEntry]], Sequence[ClipEntry]],
    *,
    num_past: int,
    size_px: int,
    spacing_ms: float,
    device: torch.device,
    labels: tuple[str, ...],
    say: Callable[[str], None],
    memory_mb: int = 2048,
) -> RecordedClips:
    """Reads the part of a data set that is to be asked about; see `open_recorded`.

    Args:
        path: folder or CSV file.
        choose: of all clips that it names, those wanted.
        num_past: past frames in a window, ``T``.
        size_px: side of the square frames.
        spacing_ms: time between the frames of a window; 0 = consecutive frames.
        device: where batches go.
        labels: names of the classes in the order wanted, which the data must have.
        say: takes lines for people: what was skipped, and what there is.
        memory_mb: most memory for decoded frames, in MiB; the rest goes to a temporary file.

    Raises:
        ValueError: a mistake in the data, in one line.
    """
    listed = list_clips(path, say)
    _classes(path, listed, labels)
    store = FrameStore(size_px, memory_mb)
    usable = _read(path, choose(listed), store, num_past, spacing_ms, say)
    say(f"clips to ask about: {_counted(usable, labels)}")
    chosen = [(clip.entry.label, windows) for clip, windows in usable]
    names = [clip.entry.key(path) for clip, _ in usable]
    return RecordedClips(labels, chosen, store, names=names, seed=0, device=device, augment=False)


def _classes(path: Path, entries: Sequence[ClipEntry], labels: tuple[str, ...] | None) -> tuple[str, ...]:
    """Names of the classes, which must be ``labels`` if these are given."""
    found = tuple(sorted({entry.label for entry in entries}))
    if labels is not None and set(labels) != set(found):
        raise ValueError(
            f"{path} has the classes {', '.join(found)}; the checkpoint has {', '.join(labels)}: "
            "rename or add folders, or train a new head"
        )
    return found


def _read(
    path: Path,
    entries: Sequence[ClipEntry],
    store: FrameStore,
    num_past: int,
    spacing_ms: float,
    say: Callable[[str], None],
) -> list[tuple[DecodedClip, Windows]]:
    """Decodes clips into the store; returns those that can be used, with their windows."""
    labels = sorted({entry.label for entry in entries})
    say(f"reading {len(entries)} clips of {len(labels)} classes ...")
    with store:
        decoded = decode_clips(entries, store, say)
    if store.file_mb:
        say(f"{store.file_mb:.0f} MB of frames lie in a temporary file")
    usable = _cut(decoded, num_past, spacing_ms, say)
    if len(usable) < len(entries):
        say(f"skipped {len(entries) - len(usable)} of {len(entries)} clips")
    kept = {clip.entry.label for clip, _ in usable}
    for label in labels:
        if label not in kept:
            raise ValueError(f"{path}: no usable clip is left in class {label}")
    return usable


def _counted(usable: Sequence[tuple[DecodedClip, Windows]], labels: Sequence[str]) -> str:
    clips = Counter(clip.entry.label for clip, _ in usable)
    windows = {name: sum(len(w) for clip, w in usable if clip.entry.label == name) for name in labels}
    return ", ".join(f"{name} {clips[name]} ({windows[name]} windows)" for name in labels)


def _cut(
    clips: Sequence[DecodedClip], num_past: int, spacing_ms: float, say: Callable[[str], None]
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
        say(
            f"skipped, too short: {clip.entry.name} has {len(clip.frames)} frames over {length_ms:.0f} ms, "
            f"a window needs {num_past + 1} frames {spacing_ms:g} ms apart"
        )
    if slow:
        say(f"{slow} clips have fewer frames than one each {spacing_ms:g} ms: theirs are taken in a row")
    return usable


def _sides(
    listed: Sequence[ClipEntry], usable: Sequence[ClipEntry], share: float, seed: int
) -> Sequence[Split]:
    """The sides of the usable clips.

    They are drawn among all that are listed: an evaluation with another spacing, which can use other clips,
    must not ask about those that were trained on. If a class then has nothing left on a side, the usable ones
    draw anew.
    """
    drawn = dict(zip(listed, split_clips(listed, share, seed), strict=True))
    sides = [drawn[entry] for entry in usable]
    classes = {entry.label for entry in usable}
    if len({(e.label, s) for e, s in zip(usable, sides, strict=True)}) == 2 * len(classes):
        return sides
    return split_clips(usable, share, seed)


def _tell_shared_files(
    usable: Sequence[tuple[DecodedClip, Windows]], sides: Sequence[str], say: Callable[[str], None]
) -> None:
    files = {
        side: {c.entry.path for (c, _), s in zip(usable, sides, strict=True) if s == side} for side in sides
    }
    shared = sorted(files.get("train", set()) & files.get("val", set()))
    if shared:
        say(
            f"{len(shared)} files, such as {shared[0]}, have parts on both sides: validation will look "
            "better than it is; a split column keeps them apart"
        )
