"""Finds image pairs with ground-truth flow by the layout of their data set."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.base.frame import Image
from pipeline.training.evaluation.truth_files import Flow, name_below, read_flow, read_picture

_NAMES = (("a.png", "b.png", "flow.npz"), ("frame10.png", "frame11.png", "flow10.flo"))
"""File names of the new image, the past image, and the flow from new to past."""
_WANTED = (
    "frame10.png, frame11.png and flow10.flo (Middlebury), image_2 next to flow_occ (KITTI), "
    "final or clean next to flow (Sintel), or a.png, b.png and flow.npz"
)


@dataclass(frozen=True, slots=True)
class FlowPair:
    """Paths of two images and the flow between them.

    Attributes:
        name: Name of the pair, unique in its folder.
        new: The image that the flow starts from; in all these data sets it is the first in time.
        past: The image that the flow points to.
        truth: The flow from ``new`` to ``past``.
    """

    name: str
    new: Path
    past: Path
    truth: Path

    def read(self) -> tuple[Image, Image, Flow]:
        """New image, past image, and the flow from new to past, NaN where unknown.

        Raises:
            ValueError: A file is missing or damaged, sizes differ, or the flow is unknown everywhere.
        """
        new, past, truth = read_picture(self.new), read_picture(self.past), read_flow(self.truth)
        if not new.shape[:2] == past.shape[:2] == truth.shape[:2]:
            sizes = ", ".join(f"{a.shape[1]}x{a.shape[0]}" for a in (new, past, truth))
            raise ValueError(f"{self.truth}: images and flow have different sizes: {sizes}")
        if np.isnan(truth).all():
            raise ValueError(f"{self.truth}: has no known flow")
        return new, past, truth


def find_flow_pairs(folder: Path) -> list[FlowPair]:
    """All pairs of a folder and its subfolders, by name.

    Layouts: Middlebury (images and flow together, or in two folders as published), KITTI 2015, Sintel (both
    passes), and ``a.png``, ``b.png``, ``flow.npz``.

    Raises:
        ValueError: The folder does not exist or has no pairs.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder of flow pairs")
    layouts: tuple[Callable[[Path], Iterator[FlowPair]], ...] = (_single, _kitti, _sintel)
    pairs = {pair.name: pair for layout in layouts for pair in layout(folder)}
    if not pairs:
        raise ValueError(f"{folder}: has no image pairs with ground-truth flow; expected {_WANTED}")
    return [pairs[name] for name in sorted(pairs)]


def _single(folder: Path) -> Iterator[FlowPair]:
    """Pairs that have a folder each."""
    for new, past, flow in _NAMES:
        pictures = {path.parent.name: path.parent for path in sorted(folder.rglob(new))}
        for truth in sorted(folder.rglob(flow)):
            beside = truth.parent if (truth.parent / new).exists() else pictures.get(truth.parent.name)
            home = beside or truth.parent  # reading the pair reports the missing file
            yield FlowPair(name_below(folder, truth.parent), home / new, home / past, truth)


def _kitti(folder: Path) -> Iterator[FlowPair]:
    for flows in sorted(folder.rglob("flow_occ")):
        pictures = flows.parent / "image_2"
        for truth in sorted(flows.glob("*_10.png")):
            name = name_below(folder, flows.parent / truth.stem.removesuffix("_10"))
            past = pictures / truth.name.replace("_10.png", "_11.png")
            yield FlowPair(name, pictures / truth.name, past, truth)


def _sintel(folder: Path) -> Iterator[FlowPair]:
    for flows in sorted(folder.rglob("flow")):
        for kind in ("clean", "final"):
            pictures = flows.parent / kind
            for truth in sorted(flows.glob("*/frame_*.flo")) if pictures.is_dir() else ():
                place = pictures / truth.parent.name
                number = truth.stem.removeprefix("frame_")
                if number.isdecimal():
                    past = place / f"frame_{int(number) + 1:0{len(number)}}.png"
                    yield FlowPair(
                        name_below(folder, place / number), place / f"{truth.stem}.png", past, truth
                    )
