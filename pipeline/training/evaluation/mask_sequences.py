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
    "input beside groundtruth (CDnet), JPEGImages/480p beside Annotations/480p (DAVIS), "
    "or frames beside masks"
)


@dataclass(frozen=True, slots=True)
class MaskSequence:
    """Where the frames of a sequence and their masks lie.

    Attributes:
        name: of the sequence, unique in its folder.
        kind: ``cdnet``: all that moves is labelled. ``davis``: the main object alone is.
        frames: all of them, in order of time.
        masks: by index into ``frames``; frames without one are not judged.
        region: a picture that is 0 where nothing is judged; None to judge all places.
    """

    name: str
    kind: Kind
    frames: Sequence[Path]
    masks: Mapping[int, Path] = field(repr=False)
    region: Path | None = None

    def truth(self, index: int) -> tuple[Mask, Mask]:
        """What moves in a frame that has a mask, and which places are judged, ``(H, W)`` each.

        CDnet's shadows (50) are still; its 85 and 170 are not judged.

        Raises:
            ValueError: a file is missing or damaged, or the region is of another size.
        """
        labels = read_mask(self.masks[index])
        if self.kind == "davis":
            return labels > 0, np.ones(labels.shape, np.bool_)
        judged: Mask = ~np.isin(labels, _NOT_JUDGED)
        if self.region is not None:
            region = read_mask(self.region)
            if region.shape != labels.shape:
                raise ValueError(f"{self.region}: is not of the size of {self.masks[index].name}")
            judged &= region > 0
        return labels == _MOVING, judged


def find_mask_sequences(folder: Path) -> list[MaskSequence]:
    """All sequences of a folder and those below it, by name.

    Raises:
        ValueError: no such folder, no sequence in it, or one without frames or masks.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder of sequences")
    found = sorted([*_cdnet(folder), *_davis(folder)], key=lambda sequence: sequence.name)
    if not found:
        raise ValueError(f"{folder}: no sequences with masks in it; expected {_WANTED}")
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
        raise ValueError(f"{masks}: no judged frame of {frames} has a mask of the same number")
    return MaskSequence(name, kind, [pictures[number] for number in order], known)


def _by_number(folder: Path) -> dict[int, Path]:
    """The pictures of a folder by the last number in their name."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder of frames")
    found = {}
    for path in folder.iterdir():
        numbers = re.findall(r"\d+", path.stem)
        if numbers and path.suffix.lower() in PICTURE_SUFFIXES:
            found[int(numbers[-1])] = path
    return found


def _judged(home: Path) -> tuple[int, int]:
    """First and last number of the frames that CDnet judges."""
    file = home / "temporalROI.txt"
    if not file.exists():
        return _ALL
    try:
        first, last = map(int, file.read_text("utf-8").split())
    except (OSError, ValueError):
        raise ValueError(f"{file}: expected two numbers: the first and the last judged frame") from None
    return first, last
