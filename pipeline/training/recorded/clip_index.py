"""Lists the clips of a folder or CSV file, with their labels and split."""

import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Split = Literal["train", "val", "test"]
SPLITS: Mapping[str, Split] = {"train": "train", "val": "val", "validation": "val", "test": "test"}
"""Parts of a data set by their names in CSV files and folders."""

VIDEO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("mp4", "m4v", "mov", "3gp", "avi", "mkv", "webm", "ogv", "wmv", "flv"),
        *("mpg", "mpeg", "ts", "mts", "m2ts", "mjpeg"),
    )
)
_LAYOUT = "one subfolder per class, containing video files or folders of images"


@dataclass(frozen=True, slots=True)
class ClipEntry:
    """One clip: a video file, a folder of images, or a part of either.

    Attributes:
        path: The file or folder.
        label: Class of the clip, from its first frame to its last.
        start_s: Start of the part, in seconds after the first frame.
        end_s: End of the part; infinite for the rest of the file.
        split: The part of the data set given by the user; None lets ``split_clips`` choose.
    """

    path: Path
    label: str
    start_s: float = 0.0
    end_s: float = math.inf
    split: Split | None = None

    @property
    def name(self) -> str:
        """Name of the clip in messages."""
        if self.start_s == 0 and math.isinf(self.end_s):
            return str(self.path)
        return f"{self.path} from {self.start_s:g} s to {self.end_s:g} s"

    @property
    def base_name(self) -> str:
        """File name without folder and suffix, with the times of a part."""
        name = self.path.stem if self.path.suffix.lower() in VIDEO_SUFFIXES else self.path.name
        whole = self.start_s == 0 and math.isinf(self.end_s)
        return name if whole else f"{name} {self.start_s:g}-{self.end_s:g}"

    def key(self, data: Path) -> str:
        """Key independent of where the data is: label and path relative to the folder or CSV file."""
        folder = data if data.is_dir() else data.parent
        place = self.path.relative_to(folder) if self.path.is_relative_to(folder) else self.path
        whole = self.start_s == 0 and math.isinf(self.end_s)
        return f"{self.label}: {place.as_posix()}" + ("" if whole else f" {self.start_s:g}-{self.end_s:g}")


def list_clips(path: Path, notify: Callable[[str], None]) -> list[ClipEntry]:
    """All clips of a folder or CSV file, in a fixed order.

    A folder has one subfolder per class, or ``train``, ``val`` and optionally ``test``, each with one
    subfolder per class. A CSV file has the columns ``path`` and ``label`` and optionally ``start_s``,
    ``end_s`` and ``split`` (``train``, ``val`` or ``validation``, ``test``); paths are relative to the file.

    Args:
        path: The folder or file.
        notify: Receives messages about files that are not clips.

    Raises:
        ValueError: The folder does not exist, a class is empty, the CSV file has errors, or there is only
            one class.
    """
    if path.is_dir():
        entries = _read_folder(path, notify)
    elif path.suffix.lower() == ".csv":
        entries = _read_csv(path)
    elif path.exists():
        raise ValueError(f"{path}: neither a folder nor a .csv file; give a folder with {_LAYOUT}")
    else:
        raise ValueError(f"{path}: no such folder or file; give a folder with {_LAYOUT}")
    labels = sorted({entry.label for entry in entries})
    if len(labels) == 1:
        raise ValueError(f"{path}: has only one class ({labels[0]}); training needs at least two")
    return entries


def _read_folder(folder: Path, notify: Callable[[str], None]) -> list[ClipEntry]:
    children = _folders(folder)
    parts = [child for child in children if child.name.lower() in SPLITS]
    found = {SPLITS[part.name.lower()] for part in parts}
    if "train" not in found or len(found) == 1:
        return _read_classes(folder, None, notify)
    for child in children:
        if child not in parts:
            notify(f"{child}: skipped, because it is not in {', '.join(part.name for part in parts)}")
    entries = []
    for part in sorted(parts, key=lambda part: list(SPLITS).index(part.name.lower())):
        entries += _read_classes(part, SPLITS[part.name.lower()], notify)
    return entries


def _read_classes(folder: Path, split: Split | None, notify: Callable[[str], None]) -> list[ClipEntry]:
    classes = _folders(folder)
    if not classes:
        raise ValueError(f"{folder}: has no class folders; it needs {_LAYOUT}")
    entries = []
    for class_folder in classes:
        files = sorted(child for child in class_folder.iterdir() if not child.name.startswith("."))
        clips = [child for child in files if child.is_dir() or child.suffix.lower() in VIDEO_SUFFIXES]
        others = len(files) - len(clips)
        if not clips:
            found = f"only {others} files that are not videos" if others else "nothing"
            raise ValueError(
                f"class folder {class_folder} contains {found}; put video files or folders of images there"
            )
        if others:
            notify(f"{class_folder}: skipped {others} files that are not videos")
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
            f"{path}: no column {' and '.join(missing)}; the first line must be path,label and optionally "
            f"start_s,end_s,split, not {','.join(columns)}"
        )
    entries = [_read_row(path.parent, where, row) for where, row in rows]
    if not entries:
        raise ValueError(f"{path}: lists no clips")
    without = [where for (where, _), entry in zip(rows, entries, strict=True) if entry.split is None]
    if 0 < len(without) < len(entries):
        raise ValueError(
            f"{without[0]}: has no split; set it ({', '.join(SPLITS)}) for all clips or for none"
        )
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
    split = text("split").lower()
    if split and split not in SPLITS:
        raise ValueError(f"{where}: split must be one of {', '.join(SPLITS)}, not {text('split')!r}")
    return ClipEntry(clip, text("label"), start_s, end_s, SPLITS.get(split))
