"""Splits clips into training, validation and test sets."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.training.recorded.clip_index import ClipEntry, Split


def split_clips(entries: Sequence[ClipEntry], share: float, seed: int) -> list[Split]:
    """The part of each clip: the given one, or else about ``share`` of each class for validation.

    If the data has test clips but no validation clips, these are drawn from the training clips. The draw
    depends only on clip names, not on the location of the data, so adding or removing a clip changes the part
    of few others: of at most one if no base name occurs in several classes. Clips of such a base name (see
    `shared_names`) get the same part, unless a class would then have no validation clip, or more than its
    share.

    Raises:
        ValueError: A class has no clip for training or validation.
    """
    if not 0 < share < 1:
        raise ValueError(f"validation_share must lie between 0 and 1, not {share}")
    parts: list[Split] = [entry.split or "train" for entry in entries]
    if "val" not in parts:
        for number in _drawn([n for n, part in enumerate(parts) if part == "train"], entries, share, seed):
            parts[number] = "val"
    for label in dict.fromkeys(entry.label for entry in entries):
        found = {part for entry, part in zip(entries, parts, strict=True) if entry.label == label}
        for part, purpose in (("train", "for training"), ("val", "for validation")):
            if part not in found:
                raise ValueError(f"class {label}: no usable clip {purpose}; each class needs both")
    return parts


def shared_names(entries: Sequence[ClipEntry]) -> dict[str, list[int]]:
    """Base names that occur in several classes, with the numbers of their clips.

    Such clips may be one recording: played backwards, mirrored, or with several motions. The base name is the
    file name without folder and suffix; parts of a file share it only if their times are equal.
    """
    by_name: dict[str, list[int]] = defaultdict(list)
    for number, entry in enumerate(entries):
        by_name[entry.base_name].append(number)
    return {
        name: numbers
        for name, numbers in by_name.items()
        if len({entries[number].label for number in numbers}) > 1
    }


def _drawn(numbers: Sequence[int], entries: Sequence[ClipEntry], share: float, seed: int) -> Iterator[int]:
    """The clips drawn for validation from those with the given numbers."""
    sizes = Counter(entries[number].label for number in numbers)
    wanted = {label: min(max(round(share * size), 1), size - 1) for label, size in sizes.items()}
    left = Counter(wanted)
    groups = shared_names([entries[number] for number in numbers])
    together = [[numbers[place] for place in places] for places in groups.values()]
    # A name that many clips of a class have, such as that of a camera, does not identify a recording.
    together = [group for group in together if Counter(entries[one].label for one in group) <= left]
    grouped = {number for group in together for number in group}
    units = [*together, *([number] for number in numbers if number not in grouped)]
    for unit in sorted(units, key=lambda unit: _draw([entries[number] for number in unit], seed)):
        needed = Counter(entries[number].label for number in unit)
        if needed <= left:
            left -= needed
            yield from unit
    for label, count in wanted.items():
        if count and left[label] == count:  # every clip of the class is in a group that does not fit
            own = [number for number in numbers if entries[number].label == label]
            yield min(own, key=lambda number: _draw([entries[number]], seed))


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
        seed: Random seed of that selection.
        notify: Receives messages about skipped or missing clips.

    Raises:
        ValueError: There are no such clips.
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


def _draw(unit: Sequence[ClipEntry], seed: int) -> bytes:
    """Sort key of clips that are drawn together for validation."""
    entry = unit[0]
    name = entry.base_name
    if len(unit) == 1:
        name = f"{entry.label} {entry.path.name} {entry.start_s} {entry.end_s}"
    return hashlib.sha256(f"{seed} {name}".encode()).digest()
