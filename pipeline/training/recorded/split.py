"""Splits clips into training, validation and test sets."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.training.recorded.clip_index import ClipEntry, Split


def split_clips(entries: Sequence[ClipEntry], share: float, seed: int) -> list[Split]:
    """The part of each clip: as its owner says, else about ``share`` of each class for validation.

    Where the owner keeps clips for the test but none for validation, these are drawn from those to train on.
    Clips are drawn by their names, wherever the data lies: one clip more or less changes the part of one
    other clip at most.

    Raises:
        ValueError: A class has no clip left to train on or for validation.
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
        for part, purpose in (("train", "to train on"), ("val", "for validation")):
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
    """The clips that a model may be scored on.

    These are those for the test, or else for validation, of the data's own split. A split that names only
    clips to train on counts as none, as it does in training. Without one they are those that the training
    held out, whatever has come to the data since; all clips if the training saw none of them: then
    they are another data set. Of a model that does not know its clips, those that a training would hold out.

    Args:
        entries: All clips of the data.
        data: The folder or CSV file.
        known: Keys of the clips that the training had: ``train``, maybe ``validation``, and ``held_out``.
        share: Of each class for validation, where nothing else is known.
        seed: Of that.
        notify: Takes lines on clips that are left out or gone.

    Raises:
        ValueError: There is none.
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
        notify(f"the training saw none of these {len(entries)} clips: all are scored")
        return entries
    if not held_out:
        raise ValueError(
            f"{data}: holds clips that were trained on, and none of those that were held out; "
            "--all-clips scores all of them"
        )
    if new := len(entries) - len(held_out) - trained:
        notify(f"{new} clips have come since the training and are left out; --all-clips scores all")
    if gone := len(kept - {entry.key(data) for entry in held_out}):
        notify(f"{gone} of {len(kept)} clips that the training held out are gone")
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
            f"{data}: its split keeps no clip for val or test that was not trained on; --all-clips scores all"
        )
    if len(unseen) < len(chosen):
        notify(f"{len(chosen) - len(unseen)} clips of its {part} part were trained on and are left out")
    return unseen


def _learned(known: Mapping[str, Sequence[str]]) -> set[str]:
    return {*known.get("train", ()), *known.get("validation", ())}


def _draw(entry: ClipEntry, seed: int) -> bytes:
    """The clip's number in the draw for validation."""
    name = f"{seed} {entry.label} {entry.path.name} {entry.start_s} {entry.end_s}"
    return hashlib.sha256(name.encode()).digest()
