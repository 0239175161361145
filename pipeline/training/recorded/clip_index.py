"""Which clips a folder or a CSV file names, what they show, and which of them are kept for validation."""

import csv
import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Split = Literal["train", "val"]

VIDEO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("mp4", "m4v", "mov", "3gp", "avi", "mkv", "webm", "ogv", "wmv", "flv"),
        *("mpg", "mpeg", "ts", "mts", "m2ts", "mjpeg"),
    )
)
_LAYOUT = "one folder for each class, with its video files or folders of images in it"


@dataclass(frozen=True, slots=True)
class ClipEntry:
    """One clip: a video file or a folder of images, or a part of one.

    Attributes:
        path: Of the file or folder.
        label: What the clip shows, from its first frame to its last.
        start_s: Where the part begins, in seconds after the first picture.
        end_s: Where it ends; infinite for the whole rest.
        split: The side it was put on by its owner; None leaves that to ``split_clips``.
    """

    path: Path
    label: str
    start_s: float = 0.0
    end_s: float = math.inf
    split: Split | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        if self.start_s == 0 and math.isinf(self.end_s):
            return str(self.path)
        return f"{self.path} from {self.start_s:g} s to {self.end_s:g} s"

    def key(self, data: Path) -> str:
        """What it is known by wherever the data lies: its place in the folder, or beside the CSV file."""
        folder = data if data.is_dir() else data.parent
        place = self.path.relative_to(folder) if self.path.is_relative_to(folder) else self.path
        whole = self.start_s == 0 and math.isinf(self.end_s)
        return f"{self.label}: {place.as_posix()}" + ("" if whole else f" {self.start_s:g}-{self.end_s:g}")


def list_clips(path: Path, say: Callable[[str], None]) -> list[ClipEntry]:
    """All clips that a folder or a CSV file names, in a fixed order.

    A folder holds a folder for each class, or ``train`` and ``val`` with a folder for each class in both. A
    CSV file has the columns ``path`` and ``label``, and may have ``start_s``, ``end_s`` and ``split``
    (``train`` or ``val``); its paths are relative to itself.

    Args:
        path: The folder or file.
        say: Takes a line about files that are not clips.

    Raises:
        ValueError: No such folder, an empty class, a CSV file with mistakes, or one class only.
    """
    if path.is_dir():
        entries = _read_folder(path, say)
    elif path.suffix.lower() == ".csv":
        entries = _read_csv(path)
    elif path.exists():
        raise ValueError(f"{path}: neither a folder nor a .csv file; give a folder with {_LAYOUT}")
    else:
        raise ValueError(f"{path}: no such folder or file; give a folder with {_LAYOUT}")
    labels = sorted({entry.label for entry in entries})
    if len(labels) == 1:
        raise ValueError(
            f"{path}: there is one class only ({labels[0]}); two or more are needed to learn from"
        )
    return entries


def split_clips(entries: Sequence[ClipEntry], share: float, seed: int) -> list[Split]:
    """The side of each clip: about ``share`` of each class for validation, chosen by the seed.

    Clips with a ``split`` of their own keep it; then all must have one. The others are chosen by their names,
    wherever the data lies: one clip more or less changes the side of one other clip at most.

    Raises:
        ValueError: A class has no clip left on one of the sides.
    """
    if not 0 < share < 1:
        raise ValueError(f"validation_share must lie between 0 and 1, not {share}")
    by_label: Mapping[str, list[int]] = defaultdict(list)
    for number, entry in enumerate(entries):
        by_label[entry.label].append(number)
    given = [entry.split for entry in entries if entry.split is not None]
    sides: list[Split] = given if len(given) == len(entries) else ["train"] * len(entries)
    if not given:
        for numbers in by_label.values():
            count = min(max(round(share * len(numbers)), 1), len(numbers) - 1)
            for number in sorted(numbers, key=lambda number: _lot(entries[number], seed))[:count]:
                sides[number] = "val"
    for label, numbers in by_label.items():
        for side, purpose in (("train", "to train on"), ("val", "for validation")):
            if all(sides[number] != side for number in numbers):
                raise ValueError(f"class {label}: no usable clip {purpose}; each class needs both")
    return sides


def held_out_part(
    entries: Sequence[ClipEntry], data: Path, known: Mapping[str, Sequence[str]], say: Callable[[str], None]
) -> list[ClipEntry]:
    """The clips that a training held out, whatever has come to the data since.

    Args:
        entries: All clips of the data.
        data: The folder or CSV file.
        known: Keys of the clips by their part in the training: ``train`` and ``held_out``.
        say: Takes a line on clips that are on neither side, and on those that are gone.

    Returns:
        The held-out clips; all clips if the training saw none of them: then they are another data set.

    Raises:
        ValueError: None of the held-out clips is there any more, but clips that were trained on are.
    """
    kept, learned = set(known["held_out"]), set(known["train"])
    held_out = [entry for entry in entries if entry.key(data) in kept]
    trained = sum(entry.key(data) in learned for entry in entries)
    if not held_out and not trained:
        say(f"the training saw none of these {len(entries)} clips: all are asked about")
        return list(entries)
    if not held_out:
        raise ValueError(
            f"{data}: holds clips that were trained on, and none of those that were held out; "
            "--all-clips asks about all of them"
        )
    if new := len(entries) - len(held_out) - trained:
        say(f"{new} clips have come since the training and are left out; --all-clips asks about all")
    if gone := len(kept - {entry.key(data) for entry in held_out}):
        say(f"{gone} of {len(kept)} clips that the training held out are gone")
    return held_out


def _lot(entry: ClipEntry, seed: int) -> bytes:
    """What a clip draws in the lottery for validation."""
    name = f"{seed} {entry.label} {entry.path.name} {entry.start_s} {entry.end_s}"
    return hashlib.sha256(name.encode()).digest()


def _read_folder(folder: Path, say: Callable[[str], None]) -> list[ClipEntry]:
    names = {child.name for child in _folders(folder)}
    if {"train", "val"} <= names:
        for name in sorted(names - {"train", "val"}):
            say(f"{folder / name}: left out, beside train and val")
        return [*_read_classes(folder / "train", "train", say), *_read_classes(folder / "val", "val", say)]
    return _read_classes(folder, None, say)


def _read_classes(folder: Path, split: Split | None, say: Callable[[str], None]) -> list[ClipEntry]:
    classes = _folders(folder)
    if not classes:
        raise ValueError(f"{folder}: holds no class folders; it needs {_LAYOUT}")
    entries = []
    for class_folder in classes:
        files = sorted(child for child in class_folder.iterdir() if not child.name.startswith("."))
        clips = [child for child in files if child.is_dir() or child.suffix.lower() in VIDEO_SUFFIXES]
        others = len(files) - len(clips)
        if not clips:
            found = f"only {others} files that are not videos" if others else "nothing"
            raise ValueError(
                f"class folder {class_folder} holds {found}; put video files or folders of images there"
            )
        if others:
            say(f"{class_folder}: {others} files are not videos and left out")
        entries += [ClipEntry(clip, class_folder.name, split=split) for clip in clips]
    return entries


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _read_csv(path: Path) -> list[ClipEntry]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns = reader.fieldnames or []
            rows = [(f"{path} line {reader.line_num}", row) for row in reader]
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: can't be read as CSV: {error}") from None
    missing = [column for column in ("path", "label") if column not in columns]
    if missing:
        raise ValueError(
            f"{path}: no column {' and '.join(missing)}; the first line must name path,label and maybe "
            f"start_s,end_s,split, not {','.join(columns)}"
        )
    entries = [_read_row(path.parent, where, row) for where, row in rows]
    if not entries:
        raise ValueError(f"{path}: names no clips")
    if len({entry.split is None for entry in entries}) > 1:
        raise ValueError(f"{path}: give a split (train or val) for all clips or for none")
    return entries


def _read_row(folder: Path, where: str, row: Mapping[str, str | None]) -> ClipEntry:
    def text(column: str) -> str:
        return (row.get(column) or "").strip()

    def seconds(column: str, default: float) -> float:
        try:
            return float(text(column) or default)
        except ValueError:
            raise ValueError(f"{where}: {column} must be seconds, not {text(column)!r}") from None

    if not text("path") or not text("label"):
        raise ValueError(f"{where}: needs a path and a label")
    clip = folder / text("path")
    if not clip.exists():
        raise ValueError(f"{where}: no such clip: {clip}")
    start_s, end_s = seconds("start_s", 0.0), seconds("end_s", math.inf)
    if not 0 <= start_s < end_s:
        raise ValueError(f"{where}: start_s {start_s:g} must be before end_s {end_s:g}")
    split = text("split")
    if split not in ("", "train", "val"):
        raise ValueError(f"{where}: split must be train or val, not {split!r}")
    side: Split | None = None if not split else "train" if split == "train" else "val"
    return ClipEntry(clip, text("label"), start_s, end_s, side)
