"""Finds sequences with masks of moving objects by the layout of their data set."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.training.evaluation.truth_files import name_below, read_mask
from pipeline.training.rendered.pictures import PICTURE_SUFFIXES

Mask = npt.NDArray[np.bool_]
Kind = Literal["cdnet", "davis"]

_NOT_JUDGED, _MOVING = (85, 170), 255
_ALL = (0, 10**9)
_WANTED = (
    "input next to groundtruth (CDnet), JPEGImages/480p next to Annotations/480p (DAVIS), "
    "or frames next to masks"
)


@dataclass(frozen=True, slots=True)
class MaskSequence:
    """Paths of the frames of a sequence and their masks.

    Attributes:
        name: Name of the sequence, unique in its folder.
        kind: ``cdnet``: all moving objects are labelled. ``davis``: only the main object is.
        frames: All frames, in time order.
        masks: Masks by index into ``frames``; frames without a mask are not scored.
        region: An image that is 0 where pixels are not scored; None to score all pixels.
    """

    name: str
    kind: Kind
    frames: Sequence[Path]
    masks: Mapping[int, Path] = field(repr=False)
    region: Path | None = None

    def truth(self, index: int) -> tuple[Mask, Mask]:
        """Moving pixels of a frame with a mask, and which pixels are scored, ``(H, W)`` each.

        CDnet's shadows (value 50) count as static; its values 85 and 170 are not scored.

        Raises:
            ValueError: A file is missing or damaged, or the region has another size.
        """
        labels = read_mask(self.masks[index])
        if self.kind == "davis":
            return labels > 0, np.ones(labels.shape, np.bool_)
        judged: Mask = ~np.isin(labels, _NOT_JUDGED)
        if self.region is not None:
            region = read_mask(self.region)
            if region.shape != labels.shape:
                raise ValueError(f"{self.region}: size differs from {self.masks[index].name}")
            judged &= region > 0
        return labels == _MOVING, judged


def find_mask_sequences(folder: Path) -> list[MaskSequence]:
    """All sequences of a folder and its subfolders, by name.

    Raises:
        ValueError: The folder does not exist or has no sequence, or one has no frames or masks.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder of sequences")
    found = sorted([*_cdnet(folder), *_davis(folder)], key=lambda sequence: sequence.name)
    if not found:
        raise ValueError(f"{folder}: has no sequences with masks; expected {_WANTED}")
    return found


def _cdnet(folder: Path) -> Iterator[MaskSequence]:
    for masks in folder.rglob("groundtruth"):
        home = masks.parent
        if (home / "input").is_dir():
            region = home / "ROI.bmp"
            sequence = _sequence("cdnet", name_below(folder, home), home / "input", masks, _judged(home))
            yield replace(sequence, region=region if region.exists() else None)


def _davis(folder: Path) -> Iterator[MaskSequence]:
    for masks in folder.rglob("masks"):
        if (masks.parent / "frames").is_dir():
            name = name_below(folder, masks.parent)
            yield _sequence("davis", name, masks.parent / "frames", masks)
    for masks in folder.rglob("Annotations/480p/*"):
        home = masks.parents[2]
        if masks.is_dir():
            name = name_below(folder, home / masks.name)
            yield _sequence("davis", name, home / "JPEGImages" / "480p" / masks.name, masks)


def _sequence(
    kind: Kind, name: str, frames: Path, masks: Path, judged: tuple[int, int] = _ALL
) -> MaskSequence:
    pictures, truths = _by_number(frames), _by_number(masks)
    order = sorted(pictures)
    known = {
        index: truths[number]
        for index, number in enumerate(order)
        if number in truths and judged[0] <= number <= judged[1]
    }
    if not known:
        raise ValueError(f"{masks}: no scored frame of {frames} has a mask of the same number")
    return MaskSequence(name, kind, [pictures[number] for number in order], known)


def _by_number(folder: Path) -> dict[int, Path]:
    """The images of a folder by the last number in their name."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder of frames")
    found = {}
    for path in folder.iterdir():
        numbers = re.findall(r"\d+", path.stem)
        if numbers and path.suffix.lower() in PICTURE_SUFFIXES:
            found[int(numbers[-1])] = path
    return found


def _judged(home: Path) -> tuple[int, int]:
    """First and last number of the frames that CDnet scores."""
    file = home / "temporalROI.txt"
    if not file.exists():
        return _ALL
    try:
        first, last = map(int, file.read_text("utf-8").split())
    except (OSError, ValueError):
        raise ValueError(f"{file}: expected two numbers: the first and the last scored frame") from None
    return first, last
