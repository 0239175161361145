"""Splits clips into training, validation and test sets."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.training.recorded.clip_index import ClipEntry, Split


def split_clips(entries: Sequence[ClipEntry], share: float, seed: int) -> list[Split]:
    """The part of each clip: the given one, or else about ``share`` of each class for validation.

    If the data has test clips but no validation clips, these are drawn from the training clips. The draw
    depends only on clip names, not on the location of the data: adding or removing a clip changes the part
    of at most one other clip.

    Raises:
        ValueError: A class has no clip for training or validation.
    """
    if not 0 < share < 1:
        raise ValueError(f"validation_share must lie between 0 and 1, not {share}")
    parts: list[Split] = [entry.split or "train" for entry in entries]
    if "val" not in parts:
        by_label: Mapping[str, list[int]] = defaultdict(list)
        for number, entry in enumerate(entries):
            if parts[number] == "train":
                by_label[entry.label].append(number)
        for numbers in by_label.values():
            count = min(max(round(share * len(numbers)), 1), len(numbers) - 1)
            for number in sorted(numbers, key=lambda number: _draw(entries[number], seed))[:count]:
                parts[number] = "val"
    for label in dict.fromkeys(entry.label for entry in entries):
        found = {part for entry, part in zip(entries, parts, strict=True) if entry.label == label}
        for part, purpose in (("train", "for training"), ("val", "for validation")):
            if part not in found:
                raise ValueError(f"class {label}: no usable clip {purpose}; each class needs both")
    return parts


def never_trained_on(
    entries: Sequence[ClipEntry],
    data: Path,
    known: Mapping[str, Sequence[str]] | None,
    *,
    share: float,
    seed: int,
    notify: Callable[[str], None],
) -> Sequence[ClipEntry]:
    """The clips that a model can be scored on, because it was not trained on them.

    If the data has its own split, these are its test clips, or else its validation clips. A split with only
    training clips is ignored, as in training. Without a split, they are the clips held out in training;
    clips added since are skipped. If none of the clips were used in training, the data set is a different
    one and all clips are used. If the model does not list its clips, they are those that training would hold
    out.

    Args:
        entries: All clips of the data.
        data: The folder or CSV file.
        known: Keys of the clips of the training run: ``train``, optionally ``validation``, and ``held_out``.
        share: Share of each class to hold out if the model does not list its clips.
        seed: Random seed for this.
        notify: Receives messages about skipped or missing clips.

    Raises:
        ValueError: There are none.
    """
    if any(entry.split in ("val", "test") for entry in entries):
        return _of_own_split(entries, data, known, notify)
    if known is None:
        parts = split_clips(entries, share, seed)
        return [entry for entry, part in zip(entries, parts, strict=True) if part == "val"]
    kept, learned = set(known["held_out"]), _learned(known)
    held_out = [entry for entry in entries if entry.key(data) in kept]
    trained = sum(entry.key(data) in learned for entry in entries)
    if not held_out and not trained:
        notify(f"none of these {len(entries)} clips were used in training: scoring all of them")
        return entries
    if not held_out:
        raise ValueError(
            f"{data}: contains clips that were trained on, but none that were held out; "
            "--all-clips scores all of them"
        )
    if new := len(entries) - len(held_out) - trained:
        notify(f"skipped {new} clips added since training; --all-clips scores all")
    if gone := len(kept - {entry.key(data) for entry in held_out}):
        notify(f"{gone} of {len(kept)} clips held out in training are missing")
    return held_out


def _of_own_split(
    entries: Sequence[ClipEntry],
    data: Path,
    known: Mapping[str, Sequence[str]] | None,
    notify: Callable[[str], None],
) -> list[ClipEntry]:
    part = "test" if any(entry.split == "test" for entry in entries) else "val"
    chosen = [entry for entry in entries if entry.split == part]
    learned = _learned(known or {})
    unseen = [entry for entry in chosen if entry.key(data) not in learned]
    if not unseen:
        raise ValueError(
            f"{data}: all val and test clips of its split were trained on; --all-clips scores all"
        )
    if len(unseen) < len(chosen):
        notify(f"skipped {len(chosen) - len(unseen)} clips of its {part} part that were trained on")
    return unseen


def _learned(known: Mapping[str, Sequence[str]]) -> set[str]:
    return {*known.get("train", ()), *known.get("validation", ())}


def _draw(entry: ClipEntry, seed: int) -> bytes:
    """Sort key of the clip in the draw for validation."""
    name = f"{seed} {entry.label} {entry.path.name} {entry.start_s} {entry.end_s}"
    return hashlib.sha256(name.encode()).digest()
