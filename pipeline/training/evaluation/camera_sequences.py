"""Sequences of a hand-held camera in a static scene, with ground-truth flow."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from pipeline.training.evaluation.truth_files import Flow, name_below
from pipeline.training.rendered.pictures import PICTURE_SUFFIXES

_TRUTH = re.compile(r"flow_to_([1-9]\d*)_before\.npz")
_WANTED = "numbered images next to flow_to_N_before.npz, which has one array for each number"


@dataclass(frozen=True, slots=True)
class CameraSequence:
    """Paths of the frames, and their ground truth.

    Attributes:
        name: Name of the sequence, unique in its folder.
        frames: Paths by number, without gaps.
        truth: By number: the flow to the frame ``spacing`` frames earlier, in pixels, at every fourth pixel
            from the third on, ``(H / 4, W / 4, 2)``; NaN where unknown.
        spacing: Distance between the two frames of a flow, in frames.
    """

    name: str
    frames: Mapping[int, Path]
    truth: Mapping[int, Flow]
    spacing: int


def find_camera_sequences(folder: Path) -> list[CameraSequence]:
    """All sequences of a folder and its subfolders, by name.

    Raises:
        ValueError: The folder does not exist or has no sequence, or a sequence is incomplete.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder of camera sequences")
    files = sorted(path for path in folder.rglob("flow_to_*_before.npz") if _TRUTH.fullmatch(path.name))
    if not files:
        raise ValueError(f"{folder}: has no sequences; expected {_WANTED}")
    return [_sequence(folder, file) for file in files]


def _sequence(folder: Path, file: Path) -> CameraSequence:
    named = _TRUTH.fullmatch(file.name)
    assert named
    spacing = int(named[1])
    pictures = {
        int(path.stem): path
        for path in file.parent.iterdir()
        if path.stem.isdecimal() and path.suffix.lower() in PICTURE_SUFFIXES
    }
    try:
        with np.load(file, allow_pickle=False) as arrays:
            truth = {int(name): np.array(arrays[name], np.float32) for name in arrays}
    except (OSError, ValueError, BadZipFile) as error:
        raise ValueError(f"{file}: can't be read: {error}") from None
    if not truth:
        raise ValueError(f"{file}: is empty; expected {_WANTED}")
    wanted = range(min(truth) - spacing, max(truth) + 1)
    missing = [number for number in wanted if number not in pictures]
    if missing:
        raise ValueError(f"{file.parent}: image number {missing[0]} is missing")
    frames = {number: pictures[number] for number in wanted}
    return CameraSequence(name_below(folder, file.parent), frames, truth, spacing)
